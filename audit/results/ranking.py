"""One queue over all checks, ordered by the value of reviewing a person.

A review of a person shows all of their photos, so it finds all of their errors. Its expected value is the sum over the
person's issues of value × probability; people, not issues, are ranked.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from audit.checks import LISTED

QUEUE_COLUMNS = (
    "rank", "person_id", "kind", "probability", "given", "predicted", "reason", "sample_ids", "profile_id",
    "expected_value", "expected_errors",
)  # fmt: skip


def rank_people(issues: pd.DataFrame, people: pd.Series, values: Mapping[str, float]) -> pd.DataFrame:
    """Return every person of `people` (P,) once, most valuable first: person_id, rank from 1, expected_value,
    expected_errors.

    `values` is the value of finding one error of each check. An issue about several people (a duplicate group) counts
    in the value of each, since each review finds it, and in the expected errors of the first.
    """
    shares = issues.assign(value=issues["kind"].map(values).astype(float) * issues["probability"])
    shares = shares[["person_ids", "value"]].explode("person_ids").rename(columns={"person_ids": "person_id"})
    sums = shares.groupby("person_id")["value"].sum().reindex(sorted(people.unique()), fill_value=0.0).astype(float)
    order = np.argsort(-sums.to_numpy(), kind="stable")
    ranked = sums.iloc[order].rename("expected_value").rename_axis("person_id").reset_index()
    ranked.insert(1, "rank", np.arange(1, len(ranked) + 1))
    first = issues.assign(person_id=_first_ranked(issues, ranked))
    errors = first.groupby("person_id")["probability"].sum()
    return ranked.assign(expected_errors=ranked["person_id"].map(errors).fillna(0.0).astype(float))


def order_issues(issues: pd.DataFrame, ranked: pd.DataFrame) -> pd.DataFrame:
    """Return the issues worth listing with QUEUE_COLUMNS, people in order of rank, the likeliest of a person first.

    An issue about several people is listed once, under the first of them.
    """
    listed = issues[issues["probability"] >= LISTED]
    listed = listed.assign(person_id=_first_ranked(listed, ranked)).merge(ranked, on="person_id")
    listed = listed.sort_values(["rank", "probability", "kind"], ascending=[True, False, True], kind="stable")
    return listed[list(QUEUE_COLUMNS)].reset_index(drop=True)


def _first_ranked(issues: pd.DataFrame, ranked: pd.DataFrame) -> list[str]:
    """Return the person of each issue who comes first in the ranking."""
    rank_of = dict(zip(ranked["person_id"], ranked["rank"], strict=True))
    return [min(people, key=rank_of.__getitem__) for people in issues["person_ids"]]
