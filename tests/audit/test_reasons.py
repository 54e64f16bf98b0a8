"""Issues: a duplicate group is one issue, and a reason does not contradict itself."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from audit.checks import AuditData, default_weights, list_issues, run_checks
from audit.results import order_issues, rank_people
from audit.results.columns import issue_columns
from audit.settings import AuditSettings
from data_manifests.taxonomy import AgeCuts
from tests.support.audit_data import draw_photos

SETTINGS = AuditSettings(executor="serial")
LABELLED = re.compile(r"labelled (.+?), predicted (.+)")


def run(rows: pd.DataFrame, features: object) -> tuple[AuditData, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    data = run_checks(rows, features, AgeCuts(), SETTINGS)  # type: ignore[arg-type]
    found = list_issues(data)
    ranked = rank_people(found, rows["person_id"], default_weights())
    return data, found, ranked, order_issues(found, ranked)


def test_a_group_of_duplicates_is_one_issue_that_names_every_person() -> None:
    rows, features = draw_photos(np.random.default_rng(1))
    copies = [7 * 25 + 2, 7 * 25 + 3, 7 * 26 + 2]
    rows.loc[copies, "sha256"] = "same"
    _, found, ranked, queue = run(rows, features)
    groups = queue[queue["kind"] == "duplicate"]
    assert len(groups) == 1
    reason = groups["reason"].iloc[0]
    assert reason.startswith("3 photos are the same file, under 2 people: p025 (mask2, mask3), p026 (mask2)")
    in_columns = pd.DataFrame(issue_columns(rows["sample_id"], queue)).iloc[copies]
    assert (in_columns["audit_reason"].str.count("3 photos are the same file") == 1).all()
    values = ranked.set_index("person_id")["expected_value"]
    assert (values[["p025", "p026"]] >= 0.5).all()  # a review of either person finds it
    assert np.isclose(ranked["expected_errors"].sum(), found["probability"].sum())


def test_copies_within_a_person_and_many_people_are_named() -> None:
    rows, features = draw_photos(np.random.default_rng(1))
    rows.loc[[7 * 3, 7 * 3 + 1], "sha256"] = "own"
    rows.loc[[7 * person + 2 for person in range(10, 17)], "sha256"] = "many"
    _, _, _, queue = run(rows, features)
    within, many = queue[queue["kind"] == "duplicate"].sort_values("reason")["reason"]
    assert within.startswith("2 photos are the same file, within one person: normal, mask1")
    assert "under 7 people: p010 (mask2), p011 (mask2), p012 (mask2), p013 (mask2) and 3 more" in many


def test_no_reason_contradicts_itself() -> None:
    rows, features = draw_photos(np.random.default_rng(9))
    rng = np.random.default_rng(0)
    features.lower_face[:] = rng.standard_normal(features.lower_face.shape)  # predictions near chance
    features.appearance[:] = rng.standard_normal(features.appearance.shape)
    _, found, _, _ = run(rows, features)
    labels = found[found["kind"].isin(["gender", "age", "mask"])]
    shown = labels["reason"].str.extract(LABELLED).dropna()
    assert len(shown)
    assert (shown[0] != shown[1]).all()
    assert labels["reason"].str.endswith(", uncertain").any()
    assert (labels["given"].astype(str) != labels["predicted"].astype(str)).all()


def test_a_wrong_mask_state_is_labelled_and_predicted() -> None:
    rows, features = draw_photos(np.random.default_rng(2))
    rows.loc[7 * 8 + 1, "mask"] = "none"
    _, _, _, queue = run(rows, features)
    first = queue[queue["kind"] == "mask"].iloc[0]
    assert first["reason"] == "mask1: labelled no mask, predicted worn"
    assert (first["given"], first["predicted"]) == ("none", "worn")


@pytest.mark.parametrize(("has_shots", "text"), [(True, "swapped shots: "), (False, "swapped labels: ")])
def test_a_swap_is_one_of_shots_or_where_there_are_none_of_labels(has_shots: bool, text: str) -> None:
    rows, features = draw_photos(np.random.default_rng(2))
    pair = [7 * 8 + 1, 7 * 8 + int(np.flatnonzero(rows["mask"][7 * 8 : 7 * 9] == "incorrect")[0])]
    rows.loc[pair, "mask"] = rows["mask"][pair[::-1]].to_numpy()
    if not has_shots:
        rows["shot"] = None
    _, _, _, queue = run(rows, features)
    first = queue[queue["kind"] == "mask"].iloc[0]
    assert set(first["sample_ids"].split()) == set(rows["sample_id"][pair])
    assert first["reason"].startswith(text)


def test_the_likeliest_issue_of_a_photo_comes_first() -> None:
    queue = pd.DataFrame(
        {
            "kind": ["quality", "mask"], "probability": [0.4, 0.9], "reason": ["blurred: mask1", "mask1: labelled …"],
            "sample_ids": ["a b", "a"],
        }
    )  # fmt: skip
    found = issue_columns(pd.Series(["a", "b", "c"]), queue)
    assert found["issue_types"] == [["mask", "quality"], ["quality"], None]
    assert found["issue_probabilities"] == [[0.9, 0.4], [0.4], None]
    assert found["audit_reason"][0] == "mask · mask1: labelled … (0.90); quality · blurred: mask1 (0.40)"
    assert found["audit_reason"][2] is None
