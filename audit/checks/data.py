"""The data of one audit: photos and features as input of the checks, scores as their output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from audit.checks.table import load_checks, refuse_row
from data_manifests.labels import TASK_COLUMN, TASKS
from data_manifests.taxonomy import AgeCuts

if TYPE_CHECKING:  # worker processes import this module by way of the settings, and need none of these
    import pandas as pd

    from audit.features import Features
    from audit.predictions import LogOdds
    from audit.scoring import LabelGroups
    from audit.settings import AuditSettings

NO_LABELS = "no labels"
ROW_COLUMNS = (
    "sample_id", "person_id", "profile_id", "shot", "mask", "gender", "age", "age_class", "split",
    "sha256", "width_px", "height_px", "root", "path",
)  # fmt: skip


@dataclass(frozen=True)
class AuditData:
    """Photos of one manifest and the results of the checks.

    `rows` are P photos in the order of `features`, with ROW_COLUMNS. A check adds its scores under its name, and may
    add the held-out quality of its probe and notes for the report. A check that lacks data calls `skip`.
    """

    rows: pd.DataFrame
    features: Features
    groups: LabelGroups
    cuts: AgeCuts
    settings: AuditSettings
    predictions: LogOdds | None
    rng: np.random.Generator
    scores: dict[str, Any] = field(default_factory=dict)
    probes: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)  # check → why it did not run

    def skip(self, check: str, reason: str) -> None:
        """Record why a check has no scores, such as "3 people; it takes 20"; the first reason is kept."""
        self.skipped.setdefault(check, reason)


def photo_rows(table: pa.Table, features: Features) -> pd.DataFrame:
    """Return the manifest rows of the described photos (P), in the order of the features."""
    return table.select(list(ROW_COLUMNS)).take(pa.array(features.rows)).to_pandas()


def run_checks(
    rows: pd.DataFrame,
    features: Features,
    cuts: AgeCuts,
    settings: AuditSettings,
    predictions: LogOdds | None = None,
) -> AuditData:
    """Run all checks on photos. A check that lacks data adds a note instead of scores; it raises no error."""
    from audit.scoring import group_photos

    checks = load_checks()
    views = [features.identity, features.appearance, *([predictions.gender_age] if predictions else [])]
    groups = group_photos(rows, *views)
    data = AuditData(rows, features, groups, cuts, settings, predictions, np.random.default_rng(settings.seed))
    if features.problems:
        data.notes.append(f"{len(features.problems)} pictures could not be read")
    if predictions and not predictions.known.all():
        data.notes.append(f"{(~predictions.known).sum()} of {len(rows)} photos have no line in the predictions")
    data.skipped.update({task: NO_LABELS for task in TASKS if rows[TASK_COLUMN[task]].isna().all()})
    for check in checks:
        data.scores[check.row.name] = check.score(data)
    data.notes.extend(_skipped_notes(data.skipped))
    return data


def _skipped_notes(skipped: Mapping[str, str]) -> list[str]:
    """Return a note per reason, with the checks that it kept from running."""
    reasons = dict.fromkeys(skipped.values())
    names = {reason: [name for name, given in skipped.items() if given == reason] for reason in reasons}
    return [f"not checked: {', '.join(names[reason])} ({reason})" for reason in reasons]


def check_columns(data: AuditData) -> dict[str, np.ndarray]:
    """Return the manifest columns of all checks, values (P,) each.

    Raises ConfigError for a check that writes other columns than its row in the table names.
    """
    found: dict[str, np.ndarray] = {}
    for check in load_checks():
        values = check.columns(data)
        if set(values) != set(check.row.columns):
            written, named = (", ".join(sorted(names)) or "none" for names in (values, check.row.columns))
            refuse_row(check.row, f"names the columns {named}; its module writes {written}")
        found |= {name: np.asarray(values[name]) for name in check.row.columns}
    return found
