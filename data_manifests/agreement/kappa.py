"""Agreement of annotators: overlap, Cohen's kappa of each pair and Fleiss' kappa of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from data_manifests.agreement.labels import AnnotatedLabel, categories, category
from data_manifests.taxonomy import AgeCuts


@dataclass(frozen=True)
class Pair:
    """Two annotators, on the labels of a field that both annotated.

    `shared` labels have annotations of both, `same` of them agree. `kappa` is Cohen's (1960), nan if not defined.
    """

    a: str
    b: str
    shared: int
    same: int
    kappa: float


@dataclass(frozen=True)
class Agreement:
    """Agreement of all annotators on a field.

    `shared` labels have two annotations or more, in `same` of them all agree. `fleiss` is the kappa of all annotators
    over the shared labels, nan where it is not defined.
    """

    field: str
    annotated: Mapping[str, int]  # labels that each annotator annotated
    labels: int
    shared: int
    same: int
    fleiss: float
    pairs: tuple[Pair, ...]


def annotation_codes(
    labels: Sequence[AnnotatedLabel], field: str, cuts: AgeCuts
) -> tuple[np.ndarray, list[str], list[AnnotatedLabel]]:
    """Return a field's annotations as category codes (N, annotators), -1 for none; the names; the N labels."""
    annotated = [label for label in labels if label.field == field and label.annotations]
    names = sorted({name for label in annotated for name in label.annotations})
    codes = np.full((len(annotated), len(names)), -1)
    kinds = categories(field)
    for row, label in enumerate(annotated):
        for name, annotation in label.annotations.items():
            codes[row, names.index(name)] = kinds.index(category(field, annotation.value, cuts))
    return codes, names, annotated


def agreement(labels: Sequence[AnnotatedLabel], field: str, cuts: AgeCuts) -> Agreement:
    """Return overlap and kappas of one field; ages are compared by class."""
    codes, names, annotated = annotation_codes(labels, field, cuts)
    counts = np.stack([(codes == k).sum(1) for k in range(len(categories(field)))], axis=1)
    shared = counts[counts.sum(1) >= 2]
    return Agreement(
        field=field,
        annotated={name: int((codes[:, i] >= 0).sum()) for i, name in enumerate(names)},
        labels=len(annotated),
        shared=len(shared),
        same=int((shared.max(1, initial=0) == shared.sum(1)).sum()),
        fleiss=fleiss_kappa(shared),
        pairs=tuple(_pair(names[i], names[j], codes[:, [i, j]]) for i, j in combinations(range(len(names)), 2)),
    )


def _pair(a: str, b: str, codes: np.ndarray) -> Pair:
    both = codes[(codes >= 0).all(1)]
    return Pair(a, b, len(both), int((both[:, 0] == both[:, 1]).sum()), cohen_kappa(both[:, 0], both[:, 1]))


def cohen_kappa(a: np.ndarray, b: np.ndarray) -> float:
    """Return Cohen's kappa (1960) of two annotators' codes, each (N,).

    It is nan where agreement by chance is complete, or N is 0.
    """
    if not len(a):
        return float("nan")
    kinds = max(a.max(), b.max()) + 1
    chance = (np.bincount(a, minlength=kinds) @ np.bincount(b, minlength=kinds)) / len(a) ** 2
    return float("nan") if chance == 1 else float(((a == b).mean() - chance) / (1 - chance))


def fleiss_kappa(counts: np.ndarray) -> float:
    """Return Fleiss' kappa (1971) from how many annotators chose each category: counts (N, K), at least 2 a row.

    Rows may differ in their number of annotators: the share of agreeing pairs is taken row by row, as published, and a
    category's share is that of all annotations. It is nan where agreement by chance is complete, or N is 0.
    """
    if not len(counts):
        return float("nan")
    raters = counts.sum(1)
    if (raters < 2).any():
        raise ValueError(f"every row of counts must have a sum of at least 2. Got {raters.min()} instead.")
    observed = (((counts**2).sum(1) - raters) / (raters * (raters - 1))).mean()
    chance = ((counts.sum(0) / raters.sum()) ** 2).sum()
    return float("nan") if chance == 1 else float((observed - chance) / (1 - chance))
