"""One queue over all kinds: the people whose look is worth most come first.

A look at a person shows all of their photos, so it finds all of their errors at once. Its expected value is the sum
over the person's issues of value × probability; people, not issues, are put in order.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from audit.checks import LISTED
from audit.settings import Values


def rank_people(issues: pd.DataFrame, people: pd.Series, values: Values) -> pd.DataFrame:
    """Every person of `people` (P,) once, best look first: person_id, rank from 1, expected_value, expected_errors."""
    worth = issues["kind"].map(values.model_dump()).astype(float) * issues["probability"]
    sums = pd.DataFrame({"person_id": issues["person_id"], "value": worth, "errors": issues["probability"]})
    sums = sums.groupby("person_id").sum().reindex(sorted(people.unique()), fill_value=0.0)
    order = np.argsort(-sums["value"].to_numpy(), kind="stable")
    ranked = sums.iloc[order].reset_index()
    ranked.insert(1, "rank", np.arange(1, len(ranked) + 1))
    return ranked.rename(columns={"value": "expected_value", "errors": "expected_errors"})


def queue(issues: pd.DataFrame, ranked: pd.DataFrame) -> pd.DataFrame:
    """The issues worth listing, people in order of rank, within a person the likeliest first."""
    listed = issues[issues["probability"] >= LISTED].merge(ranked, on="person_id")
    listed = listed.sort_values(["rank", "probability", "kind"], ascending=[True, False, True], kind="stable")
    first = ["rank", "person_id", "kind", "probability", "filed", "suggested", "reason", "sample_ids", "profile_id"]
    return listed[[*first, "expected_value", "expected_errors"]].reset_index(drop=True)
