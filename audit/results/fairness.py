"""Share of flagged labels by group: a comparison of real errors with mere rarity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from audit.checks import AuditData
from audit.scoring import SUSPECT
from data_manifests.taxonomy import GENDERS, MASKS, age_class_of


@dataclass(frozen=True)
class FlaggedShares:
    """Rows of groups with equal labels. `keys` are the tasks that define a group, `tasks` those whose shares it has.

    A row has a label per key, the count of `unit` (people or photos) and, under `TASK_flagged`, the share of them whose
    label is probably wrong.
    """

    keys: tuple[str, ...]
    tasks: tuple[str, ...]
    unit: str
    rows: list[dict[str, Any]]


def flagged_by_group(data: AuditData) -> FlaggedShares:
    """Return the shares per given gender and age class, as far as both are labelled; else per mask state.

    A group that is flagged far more often than the others deserves a review of its own.
    """
    keys = tuple(task for task in ("gender", "age") if task not in data.skipped)
    if keys:
        return _shares(_people(data), keys, "people", {"gender": GENDERS, "age": data.cuts.names})
    if "mask" not in data.skipped:
        p_correct = data.scores["mask"].p_correct
        photos = pd.DataFrame({"mask": data.rows["mask"], "mask_flagged": p_correct < SUSPECT})
        return _shares(photos[np.isfinite(p_correct)], ("mask",), "photos", {"mask": MASKS})
    return FlaggedShares((), (), "photos", [])


def _people(data: AuditData) -> pd.DataFrame:
    """Return gender, age class by name, and what is flagged, of every label group."""
    gender, age = data.scores["gender"], data.scores["age"]
    years = age.given.astype(float)
    classes = np.array([*data.cuts.names, None], object)[
        np.where(np.isfinite(years), age_class_of(np.nan_to_num(years), data.cuts), -1)
    ]
    return pd.DataFrame(
        {
            "gender": gender.given,
            "age": classes,
            "gender_flagged": gender.inconsistent | (gender.p_correct < SUSPECT),
            "age_flagged": age.inconsistent | (age.p_correct < SUSPECT),
        }
    )


def _shares(frame: pd.DataFrame, keys: tuple[str, ...], unit: str, labels: dict[str, tuple[str, ...]]) -> FlaggedShares:
    flagged = [f"{key}_flagged" for key in keys]
    rows: list[dict[str, Any]] = []
    for values in pd.MultiIndex.from_product([labels[key] for key in keys]):
        group = frame[(frame[list(keys)] == list(values)).all(axis=1)]
        if len(group):
            shares = {name: float(group[name].mean()) for name in flagged}
            rows.append({**dict(zip(keys, values, strict=True)), unit: len(group), **shares})
    return FlaggedShares(keys, keys, unit, rows)
