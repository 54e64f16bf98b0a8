"""All checks on features drawn with known labels, and the queue made of their issues."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from audit.checks import default_weights, list_issues, run_checks
from audit.checks.label_scores import LabelScores, photo_scores
from audit.features import Features
from audit.results import order_issues, rank_people
from audit.settings import AuditSettings
from data_manifests.taxonomy import AgeCuts
from tests.support.audit_data import PEOPLE, draw_photos

SETTINGS = AuditSettings(executor="serial")


def audit_queue(rows: pd.DataFrame, features: Features) -> tuple[pd.DataFrame, pd.DataFrame]:
    issues = list_issues(run_checks(rows, features, AgeCuts(), SETTINGS))
    ranked = rank_people(issues, rows["person_id"], default_weights())
    return order_issues(issues, ranked), ranked


def test_all_kinds_come_to_the_front_of_one_queue() -> None:
    rows, features = draw_photos(np.random.default_rng(1))
    flipped = rows["person_id"] == "p004"
    rows.loc[flipped, "gender"] = "female" if rows.loc[flipped, "gender"].iloc[0] == "male" else "male"
    aged = rows["person_id"] == "p011"
    rows.loc[aged, "age"] = 80 if rows.loc[aged, "age"].iloc[0] < 45 else 18
    features.identity[7 * 20 + 1] = features.identity[7 * 30 + 1]
    swap = [7 * 15, 7 * 15 + 3]
    features.lower_face[swap] = features.lower_face[swap[::-1]]
    rows.loc[[7 * 25 + 2, 7 * 26 + 2], "sha256"] = "same"
    listed, ranked = audit_queue(rows, features)
    assert set(ranked["person_id"][:6]) == {"p004", "p011", "p020", "p015", "p025", "p026"}
    top = listed.drop_duplicates("person_id").set_index("person_id")["kind"]
    assert top[["p004", "p011", "p020", "p015", "p025"]].tolist() == ["gender", "age", "identity", "mask", "duplicate"]
    same = listed[listed["kind"] == "duplicate"]["reason"].iloc[0]
    assert "under 2 people" in same
    assert len(ranked) == PEOPLE


def test_swapped_photos_are_no_identity_mismatches() -> None:
    rows, features = draw_photos(np.random.default_rng(1))
    features.identity[rows["mask"] == "worn"] += 0.15  # a mask shifts the vectors of all faces alike
    swap = [7 * 15, 7 * 15 + 3]
    for block in (features.identity, features.lower_face):
        block[swap] = block[swap[::-1]]
    features.identity[7 * 20 + 1] = features.identity[7 * 30 + 1]
    listed, _ = audit_queue(rows, features)
    likely = listed.loc[listed["probability"] > 0.5, ["person_id", "kind"]].to_numpy().tolist()
    assert sorted(likely) == [["p015", "mask"], ["p020", "identity"]]


def test_values_change_the_order_of_the_queue() -> None:
    rows, features = draw_photos(np.random.default_rng(2))
    features.faces[0] = 0
    flipped = rows["person_id"] == "p009"
    rows.loc[flipped, "gender"] = "female" if rows.loc[flipped, "gender"].iloc[0] == "male" else "male"
    issues = list_issues(run_checks(rows, features, AgeCuts(), SETTINGS))
    ranked = [rank_people(issues, rows["person_id"], default_weights() | {"quality": q}) for q in (0.1, 9.0)]
    assert [people["person_id"].iloc[0] for people in ranked] == ["p009", "p000"]


def test_one_photo_of_another_gender_contradicts_its_profile() -> None:
    rows, features = draw_photos(np.random.default_rng(3))
    rows.loc[7 * 6 + 2, "gender"] = "female" if rows.loc[7 * 6, "gender"] == "male" else "male"
    listed, _ = audit_queue(rows, features)
    assert listed.iloc[0][["person_id", "kind"]].tolist() == ["p006", "gender"]
    assert "inconsistent within the profile" in listed.iloc[0]["reason"]
    assert listed.iloc[0]["probability"] == 1


def test_the_commonest_label_is_scored_by_the_faces_and_a_tie_is_open() -> None:
    groups = np.array([0, 0, 0, 1, 1, 2, 3, 3, 3, -1])
    labels = pd.Series(["male", "female", "male", "male", "female", "female", "male", "male", "female", "male"])
    given, predicted = (
        np.array(["male", "female", "female", "male"], object),
        np.array(["male"] * 3 + ["female"], object),
    )
    scores = LabelScores(np.array([0.9, 0.9, 0.2, 0.3]), predicted, given, np.array([True, True, False, True]))
    p_correct, suggested = photo_scores(groups, scores, labels)
    np.testing.assert_allclose(p_correct, [18 / 19, 1 / 19, 18 / 19, 0.5, 0.5, 0.2, 6 / 13, 6 / 13, 7 / 13, np.nan])
    assert suggested.tolist() == [None, "male", None, None, None, "male", "female", "female", None, None]
    labels[2] = None  # no label is no vote: one against one
    assert photo_scores(groups, scores, labels)[0][:3].tolist() == [0.5, 0.5, 0.5]
    not_scored = LabelScores(np.full(4, np.nan), predicted, given, scores.inconsistent)
    np.testing.assert_array_equal(photo_scores(groups, not_scored, labels)[0][:6], [0.5] * 5 + [np.nan])


@pytest.mark.parametrize("case", ["one person", "one gender", "two women", "no labels", "one age"])
def test_bad_input_is_a_note_and_what_can_be_scored_is(case: str) -> None:
    rows, features = draw_photos(np.random.default_rng(4))
    if case == "one person":
        rows[["person_id", "profile_id", "gender", "age"]] = ["p000", "p000", "female", 30]
    elif case == "one gender":
        rows["gender"] = "male"
    elif case == "two women":
        rows["gender"] = np.where(rows["person_id"].isin(["p000", "p001"]), "female", "male")
    elif case == "no labels":
        rows[["gender", "age", "age_class", "mask"]] = None
        rows["age"] = rows["age"].astype(float)
    else:
        rows["age"] = 33
    data = run_checks(rows, features, AgeCuts(), SETTINGS)
    assert any(note.startswith("not checked: ") for note in data.notes)
    expected = {"one person": "gender", "one gender": "gender", "two women": "gender", "no labels": "gender"}
    scores = data.scores["gender" if case in expected else "age"]
    assert np.isnan(scores.p_correct).all()
    rank_people(list_issues(data), rows["person_id"], default_weights())
