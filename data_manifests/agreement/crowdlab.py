"""cleanlab's consensus of several annotators (CROWDLAB: Goh et al. 2022, arXiv:2210.06812).

CROWDLAB weighs each annotator by how often they agree with the others, and a model by how often it agrees with them.
Our model is `audit`: its scores in the version that the annotators saw are the probabilities that a label is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.agreement.kappa import Unit, categories, category, word_codes
from data_manifests.errors import CorrectionError, ManifestError
from data_manifests.schema import LABELS
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import Store

_EVEN = 1e-3  # the least probability of a class: no model is certain


def likeliest(store: Store, units: Sequence[Unit], cuts: AgeCuts) -> list[str]:
    """cleanlab's category for every unit; empty where `audit` has no score (and for `exclude`, which it cannot judge).

    Raises CorrectionError if no unit at all has a score, or nothing was said twice: then there is nothing to weigh.
    """
    probabilities = audit_probabilities(store, units, cuts)
    answers = [""] * len(units)
    position = {id(unit): i for i, unit in enumerate(units)}
    weighed = 0
    for what in LABELS:
        known = [unit for unit in units if unit.field == what and unit.words and id(unit) in probabilities]
        codes, names, about = word_codes(known, what, cuts)
        if not about or (codes >= 0).sum(1).max() < 2:
            continue  # cleanlab asks for two words on something
        weighed += len(about)
        chosen = _crowdlab(codes, names, np.stack([probabilities[id(unit)] for unit in about]))
        for unit, code in zip(about, chosen, strict=True):
            answers[position[id(unit)]] = categories(what)[code]
    if not weighed:
        raise CorrectionError(
            "cleanlab weighs labels that two annotators spoke about and that audit has scored: there are none. "
            "Score the version first: python -m audit run REF"
        )
    return answers


def _crowdlab(codes: np.ndarray, names: Sequence[str], probabilities: np.ndarray) -> np.ndarray:
    """Words (N, annotators), -1 for none, and probabilities (N, K) → the likeliest category (N,)."""
    import pandas as pd
    from cleanlab.multiannotator import get_label_quality_multiannotator

    words = pd.DataFrame(np.where(codes < 0, np.nan, codes), columns=list(names))
    found = get_label_quality_multiannotator(
        words, probabilities, return_detailed_quality=False, return_annotator_stats=False, verbose=False
    )
    return found["label_quality"]["consensus_label"].to_numpy()


def audit_probabilities(store: Store, units: Sequence[Unit], cuts: AgeCuts) -> dict[int, np.ndarray]:
    """Probability of each category (K,) by `id(unit)`, for the units whose label `audit` has scored.

    The label that was filed gets its score and the audit's suggestion the rest; without a suggestion the other
    categories share it evenly. A person is scored by the first of their photos that has a score.
    """
    found: dict[int, np.ndarray] = {}
    by_version: dict[str, list[Unit]] = {}
    for unit in units:
        if unit.field in LABELS:
            by_version.setdefault(unit.records[-1]["manifest"], []).append(unit)
    for pinned, seen in by_version.items():
        ref, _, digits = pinned.partition("#")
        try:
            if not store.version(ref).content_hash.startswith(digits):
                continue
        except ManifestError:
            continue
        for what in LABELS:
            about = [unit for unit in seen if unit.field == what]
            if about:
                found |= _scores(store, ref, what, about, cuts)
    return found


def _scores(store: Store, ref: str, what: str, units: Sequence[Unit], cuts: AgeCuts) -> dict[int, np.ndarray]:
    columns = ["sample_id", "person_id", what, f"{what}_label_score", f"suggested_{what}"]
    table = store.read(ref, columns).table
    table = table.filter(pc.and_(pc.is_valid(table[what]), pc.is_valid(table[f"{what}_label_score"])))
    pictures = pa.array([unit.records[-1]["sample_id"] for unit in units])
    people = pa.array([unit.person_id for unit in units if unit.scope == "person"], pa.string())
    rows = table.filter(
        pc.or_(pc.is_in(table["sample_id"], pictures), pc.is_in(table["person_id"], people))
    ).to_pylist()
    by_picture = {row["sample_id"]: row for row in rows}
    by_person = {row["person_id"]: row for row in reversed(rows)}
    found = {}
    for unit in units:
        row = by_person.get(unit.person_id) if unit.scope == "person" else by_picture.get(unit.records[-1]["sample_id"])
        if row:
            found[id(unit)] = _spread(what, row, cuts)
    return found


def _spread(what: str, row: Mapping[str, object], cuts: AgeCuts) -> np.ndarray:
    kinds = categories(what)
    filed = kinds.index(category(what, str(row[what]), cuts))
    score, suggested = float(str(row[f"{what}_label_score"])), row[f"suggested_{what}"]
    other = kinds.index(category(what, str(suggested), cuts)) if suggested is not None else filed
    rest = np.full(len(kinds), (1 - score) / (len(kinds) - 1))
    if other != filed:
        rest = np.zeros(len(kinds))
        rest[other] = 1 - score
    rest[filed] = score
    rest = np.maximum(rest, _EVEN)
    return rest / rest.sum()
