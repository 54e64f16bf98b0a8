"""Scores and the queue as columns of the manifest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from audit.checks import Findings, LabelScores
from audit.scoring import SUSPECT
from data_manifests.schema import BY_NAME, conform
from data_manifests.taxonomy import MASKS


def add_columns(table: pa.Table, found: Findings, queue: pd.DataFrame, ranked: pd.DataFrame) -> pa.Table:
    """The table with the audit's columns, older ones replaced. Rows that were not looked at get only `audit_rank`."""
    places = found.features.rows
    rows = found.rows
    values: dict[str, Any] = {
        "mask_label_score": found.mask.right,
        "identity_score": found.identity.right,
        "blur_score": found.features.blur_score,
        "exposure_score": found.features.exposure_score,
    }
    for name, scores in (("gender", found.gender), ("age", found.age)):
        score, looks = scores_of_photos(found.units.places, scores, rows[name])
        values[f"{name}_label_score"], values[f"suggested_{name}"] = score, looks
    doubt = found.mask.right < SUSPECT
    values["suggested_mask"] = np.where(doubt, np.array([*MASKS, None], object)[found.mask.looks], None)
    first = np.full(len(rows), None, object)
    for members in found.duplicates.members():
        first[members] = rows["sample_id"].iloc[members[0]]
    values["duplicate_of"] = first
    values["audit_reason"] = rows["sample_id"].map(_reasons(queue)).to_numpy(object)
    for name, column in values.items():
        table = _put(table, name, places, column)
    by_person = dict(zip(ranked["person_id"], ranked["rank"], strict=True))
    rank = [by_person.get(person) for person in table.column("person_id").to_pylist()]
    return conform(_set(table, "audit_rank", pa.array(rank, pa.int32())))


def scores_of_photos(places: np.ndarray, scores: LabelScores, labels: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Scores (P,) and suggestions (P,) of units at their photos; NaN and None for photos without a face.

    Where the photos of a profile disagree, the commonest label is judged by the faces as any other, its odds times
    those of the votes; another label can only be right if that is wrong. Without a majority all stand at one half.
    """
    nothing = np.array([None], object)
    right = np.concatenate([scores.right, [np.nan]])[places]
    looks = np.concatenate([scores.looks, nothing])[places]
    common = np.concatenate([scores.filed, nothing])[places]
    mixed = np.concatenate([scores.mixed, [False]])[places]
    labelled = labels.notna().to_numpy()
    odd = mixed & labelled & (labels.to_numpy(object) != common)
    votes, others = (pd.Series(has).groupby(places).transform("sum").to_numpy() for has in (labelled & ~odd, odd))
    votes = np.where(others > 0, votes, 1)
    right = right * votes / (right * votes + (1 - right) * np.maximum(others, 1))
    right[odd] = 1 - right[odd]
    right[mixed & ((others >= votes) & (others > 0) | np.isnan(right))] = SUSPECT
    looks[odd] = common[odd]
    looks[~(right < SUSPECT)] = None
    return right, looks


def _reasons(queue: pd.DataFrame) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for issue in queue.to_dict("records"):
        for sample in issue["sample_ids"].split():
            found.setdefault(sample, []).append(f"{issue['reason']} ({issue['probability']:.2f})")
    return {sample: "; ".join(reasons) for sample, reasons in found.items()}


def _put(table: pa.Table, name: str, places: np.ndarray, values: np.ndarray) -> pa.Table:
    column: list[Any] = [None] * table.num_rows
    for place, value in zip(places.tolist(), values.tolist(), strict=True):
        column[place] = None if value is None or value != value else value
    return _set(table, name, pa.array(column, BY_NAME[name].type))


def _set(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, column)
    return table.append_column(name, column)
