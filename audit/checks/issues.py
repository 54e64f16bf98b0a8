"""Issues: single points of a data set that a person may have to correct, with the probability of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audit.checks.data import AuditData
from audit.checks.table import load_checks

if TYPE_CHECKING:  # as in data.py
    import pandas as pd

LISTED = 0.05  # less likely issues count in the order of the queue and are not listed
STATE_TEXT = {"worn": "worn", "incorrect": "worn incorrectly", "none": "no mask"}  # mask states in sentences
COLUMNS = ("kind", "person_id", "profile_id", "sample_ids", "given", "predicted", "probability", "reason")


@dataclass(frozen=True)
class Issue:
    """One issue about the photos at `positions` in the rows of an audit.

    `given` and `predicted` are the label and its likely value, if the issue is about a label.
    """

    positions: Sequence[int]
    probability: float
    reason: str
    given: Any = None
    predicted: Any = None


def list_issues(data: AuditData) -> pd.DataFrame:
    """Return all issues with a probability above zero, unsorted, with COLUMNS.

    `sample_ids` are separated by a space. `person_id` and `profile_id` are those of the first photo; `person_ids` holds
    every person concerned, sorted, as a tuple.
    """
    import pandas as pd

    sample_ids, people, profiles = (
        data.rows[name].to_numpy(object) for name in ("sample_id", "person_id", "profile_id")
    )
    records = []
    for check in load_checks():
        for issue in check.issues(data):
            positions = np.asarray(issue.positions)
            records.append(
                {
                    "kind": check.row.name, "person_id": people[positions[0]], "profile_id": profiles[positions[0]],
                    "person_ids": tuple(sorted(set(people[positions]))), "sample_ids": " ".join(sample_ids[positions]),
                    "given": issue.given, "predicted": issue.predicted, "probability": float(issue.probability),
                    "reason": issue.reason,
                }
            )  # fmt: skip
    return pd.DataFrame(records, columns=[*COLUMNS, "person_ids"])


def label_reason(given: object, predicted: object) -> str:
    """Return "labelled X, predicted Y", or "labelled X, uncertain" if the prediction equals the label or is missing."""
    return f"labelled {given}, " + ("uncertain" if predicted in (None, given) else f"predicted {predicted}")
