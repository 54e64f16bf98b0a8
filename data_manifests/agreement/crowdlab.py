"""cleanlab's consensus of several annotators (CROWDLAB: Goh et al. 2022, arXiv:2210.06812).

CROWDLAB weights each annotator by how often they agree with the others, and a model by how often it agrees with them.
The model here is `audit`: its scores in the version that the annotators saw are probabilities that a label is correct.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.agreement.kappa import annotation_codes
from data_manifests.agreement.labels import AnnotatedLabel, categories, category
from data_manifests.errors import CorrectionError, ManifestError
from data_manifests.schema import LABELS
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import Store

_MIN_PROBABILITY = 1e-3  # of a category: no model is certain


def most_likely(store: Store, labels: Sequence[AnnotatedLabel], cuts: AgeCuts) -> list[str]:
    """Return cleanlab's category for each label; empty where `audit` has no score (always for `exclude`).

    Raises CorrectionError if no label with a score has two annotations: then there is nothing to weight.
    """
    probabilities = audit_probabilities(store, labels, cuts)
    answers = [""] * len(labels)
    position = {id(label): i for i, label in enumerate(labels)}
    weighted = 0
    for field in LABELS:
        scored = [one for one in labels if one.field == field and one.annotations and id(one) in probabilities]
        codes, names, annotated = annotation_codes(scored, field, cuts)
        if not annotated or (codes >= 0).sum(1).max() < 2:
            continue  # cleanlab needs a label with two annotations
        weighted += len(annotated)
        chosen = _crowdlab(codes, names, np.stack([probabilities[id(label)] for label in annotated]))
        for label, code in zip(annotated, chosen, strict=True):
            answers[position[id(label)]] = categories(field)[code]
    if not weighted:
        refs = [one.records[-1].manifest.partition("#")[0] for one in labels]
        raise CorrectionError(
            "cleanlab needs labels with two annotations and an audit score; none of "
            f"{len(labels):,} labels has both, and one that was unknown has no score. "
            f"Use --rule majority, or score the version first: facecurate audit run {refs[-1] if refs else 'REF'}"
        )
    return answers


def _crowdlab(codes: np.ndarray, names: Sequence[str], probabilities: np.ndarray) -> np.ndarray:
    """Return the most likely category (N,) from annotations (N, annotators), -1 for none, and probabilities (N, K)."""
    import pandas as pd
    from cleanlab.multiannotator import get_label_quality_multiannotator

    annotations = pd.DataFrame(np.where(codes < 0, np.nan, codes), columns=list(names))
    found = get_label_quality_multiannotator(
        annotations, probabilities, return_detailed_quality=False, return_annotator_stats=False, verbose=False
    )
    return found["label_quality"]["consensus_label"].to_numpy()


def audit_probabilities(store: Store, labels: Sequence[AnnotatedLabel], cuts: AgeCuts) -> dict[int, np.ndarray]:
    """Return the probability of each category (K,) by `id(label)`, for the labels that `audit` has scored.

    The given label gets its score and the audit's suggestion the rest; without a suggestion the other categories share
    the rest evenly. A person has the score of the first of their photos that has one.
    """
    found: dict[int, np.ndarray] = {}
    by_version: dict[str, list[AnnotatedLabel]] = {}
    for label in labels:
        if label.field in LABELS:
            by_version.setdefault(label.records[-1].manifest, []).append(label)
    for pinned, seen in by_version.items():
        ref, _, digits = pinned.partition("#")
        try:
            if not store.version(ref).content_hash.startswith(digits):
                continue
        except ManifestError:
            continue
        for field in LABELS:
            of_field = [label for label in seen if label.field == field]
            if of_field:
                found |= _scores(store, ref, field, of_field, cuts)
    return found


def _scores(
    store: Store, ref: str, field: str, labels: Sequence[AnnotatedLabel], cuts: AgeCuts
) -> dict[int, np.ndarray]:
    columns = ["sample_id", "person_id", field, f"{field}_label_score", f"suggested_{field}"]
    table = store.read(ref, columns).table
    table = table.filter(pc.and_(pc.is_valid(table[field]), pc.is_valid(table[f"{field}_label_score"])))
    samples = pa.array([label.records[-1].sample_id for label in labels])
    people = pa.array([label.person_id for label in labels if label.scope == "person"], pa.string())
    is_named = pc.or_(pc.is_in(table["sample_id"], samples), pc.is_in(table["person_id"], people))
    rows = table.filter(is_named).to_pylist()
    by_sample = {row["sample_id"]: row for row in rows}
    by_person = {row["person_id"]: row for row in reversed(rows)}
    found = {}
    for label in labels:
        is_person = label.scope == "person"
        row = by_person.get(label.person_id) if is_person else by_sample.get(label.records[-1].sample_id)
        if row:
            found[id(label)] = _distribution(field, row, cuts)
    return found


def _distribution(field: str, row: Mapping[str, object], cuts: AgeCuts) -> np.ndarray:
    """Return the probability of each category (K,) from a row's label, score and suggestion."""
    kinds = categories(field)
    given = kinds.index(category(field, str(row[field]), cuts))
    score, suggestion = float(str(row[f"{field}_label_score"])), row[f"suggested_{field}"]
    suggested = kinds.index(category(field, str(suggestion), cuts)) if suggestion is not None else given
    probabilities = np.full(len(kinds), (1 - score) / (len(kinds) - 1))
    if suggested != given:
        probabilities = np.zeros(len(kinds))
        probabilities[suggested] = 1 - score
    probabilities[given] = score
    probabilities = np.maximum(probabilities, _MIN_PROBABILITY)
    return probabilities / probabilities.sum()
