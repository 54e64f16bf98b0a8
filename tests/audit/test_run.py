"""From a manifest to its audited version, report and queue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner

from audit.checks.findings import LabelScores, find
from audit.checks.issues import list_issues
from audit.cli import cli
from audit.features.extract import Features
from audit.results.columns import scores_of_photos
from audit.results.ranking import queue, rank_people
from audit.run import Audit, run_audit
from audit.settings import AuditSettings, Values
from data_manifests.errors import BackendError, ConfigError
from data_manifests.taxonomy import SHOT_MASK, SHOTS, AgeCuts
from data_manifests.versions.store import Store
from pipeline.faces.mean_shape import fit_mean_shape
from tests.conftest import write_photos

SETTINGS = AuditSettings(executor="serial")
PEOPLE = 40


def with_landmarks(store: Store, count: int, folder: Path) -> str:
    """Drawn pictures whose 'faces' are given, so that no detector is asked."""
    version = write_photos(store, folder, count)
    points = np.array([[15, 24], [33, 24], [24, 36], [17, 46], [31, 46]], np.float32)
    shape = fit_mean_shape(points).ravel().tolist()
    table = store.read(version.ref).table
    column = table.column_names.index("landmarks_xy")
    table = table.set_column(column, "landmarks_xy", pa.array([shape] * count, table.schema.field(column).type))
    return store.write("drawn", table, "landmarks", parents=[version]).ref


def audit(store: Store, ref: str) -> Audit:
    return run_audit(store.read(ref), store, SETTINGS)


def test_a_second_run_looks_at_nothing_and_a_new_photo_costs_itself(store: Store, tmp_path: Path) -> None:
    first = audit(store, with_landmarks(store, 24, tmp_path / "a"))
    again = audit(store, first.version.parents[0].split("#")[0])
    assert (first.found.features.reused, again.found.features.reused) == (0, 24)
    assert again.version == first.version
    more = audit(store, with_landmarks(store, 25, tmp_path / "b"))
    assert more.found.features.reused == 24


def test_what_is_written(store: Store, tmp_path: Path) -> None:
    done = audit(store, with_landmarks(store, 24, tmp_path / "a"))
    table = store.read(done.version.ref).table.to_pandas()
    assert table["blur_score"].between(0, 1).all()
    assert table["gender_label_score"].between(0, 1).all()
    assert sorted(table["audit_rank"]) == list(range(1, 25))  # each is a person of its own
    assert table["identity_score"].isna().all()
    page = (done.folder / "audit.html").read_text("utf8")
    assert "strangers cannot be judged" in page
    assert "mask states cannot be judged" in page
    listed = pd.read_csv(done.folder / "queue.csv", dtype={"person_id": str})
    assert listed["rank"].is_monotonic_increasing
    assert set(listed["kind"]) <= set(Values().model_dump())


def test_photos_without_a_face_are_said_and_the_rest_goes_on(store: Store, tmp_path: Path) -> None:
    version = write_photos(store, tmp_path / "a", 4)  # coloured squares: no face in them
    done = audit(store, version.ref)
    reasons = store.read(done.version.ref).table.column("audit_reason").to_pylist()
    assert all("no face found" in reason for reason in reasons)
    assert any("gender cannot be judged" in note for note in done.found.notes)
    assert any("age cannot be judged" in note for note in done.found.notes)


def test_names_are_escaped_in_the_report(store: Store, tmp_path: Path) -> None:
    version = write_photos(store, tmp_path / "a", 3)
    table = store.read(version.ref).table
    people = pa.array(["<script>x</script>"] * 3)
    table = table.set_column(table.column_names.index("person_id"), "person_id", people)
    done = audit(store, store.write("drawn", table, "rename", parents=[version]).ref)
    page = (done.folder / "audit.html").read_text("utf8")
    assert "<script>x" not in page
    assert "&lt;script&gt;x" in page


def test_a_photo_with_two_issues_bears_both_and_a_mask_that_its_shot_does_not_tell(
    store: Store, tmp_path: Path
) -> None:
    version = write_photos(store, tmp_path / "a", 3)
    table = store.read(version.ref).table
    twice = pa.array([table["sha256"][0].as_py()] * 2 + [table["sha256"][2].as_py()])
    masks = pa.array(["worn", "none", "none"])  # all are shots 'normal'
    for name, column in {"sha256": twice, "mask": masks, "class_id": pa.nulls(3, pa.int32())}.items():
        table = table.set_column(table.column_names.index(name), name, column.cast(table.schema.field(name).type))
    (tmp_path / "a" / "p001.png").write_bytes((tmp_path / "a" / "p000.png").read_bytes())
    page = (audit(store, store.write("drawn", table, "twin", parents=[version]).ref).folder / "audit.html").read_text()
    assert page.count("<b>duplicate, quality</b>") == 2
    assert page.count("normal · worn<b>") == 1
    assert page.count(">normal<b>") == 2


def test_an_unknown_describer_names_the_choices(store: Store, tmp_path: Path) -> None:
    version = write_photos(store, tmp_path / "a", 2)
    with pytest.raises(BackendError, match=r"describer must be one of \{dlib_layers"):
        run_audit(store.read(version.ref), store, AuditSettings(describer="oracle"))


def test_the_command(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = with_landmarks(store, 22, tmp_path / "a")
    monkeypatch.setenv("WORKSPACE", str(store.workspace))
    words = ["run", ref, "--jobs", "1", "--tag", "audited", "report_people=2", "values.quality=0"]
    shown = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert shown.exit_code == 0
    assert "22 photos looked at, 22 of them new" in shown.output
    assert store.version("drawn@audited").operation == "audit"
    with pytest.raises(ConfigError, match="setting must be one of"):
        CliRunner().invoke(cli, ["run", ref, "descriptor=x"], catch_exceptions=False)


# -- findings on features drawn with known truth ---------------------------------------------------------------------


def drawn(rng: np.random.Generator) -> tuple[pd.DataFrame, Features]:
    """PEOPLE with seven shots: gender and age in the appearance, people in the identity, masks in the lower face."""
    people = np.repeat(np.arange(PEOPLE), 7)
    n = len(people)
    female, ages = np.arange(PEOPLE) % 2, rng.integers(18, 70, PEOPLE)
    shot = np.tile(SHOTS, PEOPLE)
    mask = np.array([SHOT_MASK[name] for name in shot])
    identity = rng.standard_normal((PEOPLE, 32))[people] * 0.12 + rng.standard_normal((n, 32)) * 0.02
    appearance = rng.standard_normal((n, 12)) * 0.1
    appearance[:, 0] += female[people]
    appearance[:, 1] += ages[people] / 20
    lower = rng.standard_normal((n, 8)) * 0.45 + np.eye(8)[np.unique(mask, return_inverse=True)[1]] * 2
    rows = pd.DataFrame(
        {
            "sample_id": [f"s{i:04d}" for i in range(n)], "person_id": [f"p{i:03d}" for i in people],
            "profile_id": [f"p{i:03d}" for i in people], "shot": shot, "mask": mask,
            "gender": np.where(female[people] == 1, "female", "male"), "age": ages[people],
            "age_class": np.digitize(ages[people], [30, 60]), "split": None, "sha256": [f"h{i}" for i in range(n)],
            "width_px": 384, "height_px": 512, "root": "drawn", "path": [f"{i}.jpg" for i in range(n)],
        }
    )  # fmt: skip
    one, no = np.ones(n, np.float32), np.zeros(n, bool)
    features = Features(
        np.arange(n), *(block.astype(np.float32) for block in (identity, appearance, lower)), one, one, one,
        np.ones(n, np.int32), no, no, rng.integers(0, 1 << 63, n, dtype=np.uint64),
        rng.integers(0, 255, (n, 768)).astype(np.uint8), {}, 0,
    )  # fmt: skip
    return rows, features


def findings_queue(rows: pd.DataFrame, features: Features) -> tuple[pd.DataFrame, pd.DataFrame]:
    issues = list_issues(find(rows, features, AgeCuts(), SETTINGS))
    ranked = rank_people(issues, rows["person_id"], Values())
    return queue(issues, ranked), ranked


def test_all_kinds_come_to_the_front_of_one_queue() -> None:
    rows, features = drawn(np.random.default_rng(1))
    flipped = rows["person_id"] == "p004"
    rows.loc[flipped, "gender"] = "female" if rows.loc[flipped, "gender"].iloc[0] == "male" else "male"
    aged = rows["person_id"] == "p011"
    rows.loc[aged, "age"] = 80 if rows.loc[aged, "age"].iloc[0] < 45 else 18
    features.identity[7 * 20 + 1] = features.identity[7 * 30 + 1]
    swap = [7 * 15, 7 * 15 + 3]
    features.lower_face[swap] = features.lower_face[swap[::-1]]
    rows.loc[[7 * 25 + 2, 7 * 26 + 2], "sha256"] = "same"
    listed, ranked = findings_queue(rows, features)
    assert set(ranked["person_id"][:6]) == {"p004", "p011", "p020", "p015", "p025", "p026"}
    top = listed.drop_duplicates("person_id").set_index("person_id")["kind"]
    assert top[["p004", "p011", "p020", "p015", "p025"]].tolist() == ["gender", "age", "stranger", "mask", "duplicate"]
    same = listed[listed["kind"] == "duplicate"]["reason"].iloc[0]
    assert "under 2 people" in same
    assert len(ranked) == PEOPLE


def test_photos_in_each_others_place_are_not_strangers_for_it() -> None:
    rows, features = drawn(np.random.default_rng(1))
    features.identity[rows["mask"] == "worn"] += 0.15  # what masks do to a face, and to the vector of a network
    swap = [7 * 15, 7 * 15 + 3]
    for block in (features.identity, features.lower_face):
        block[swap] = block[swap[::-1]]
    features.identity[7 * 20 + 1] = features.identity[7 * 30 + 1]
    listed, _ = findings_queue(rows, features)
    likely = listed.loc[listed["probability"] > 0.5, ["person_id", "kind"]].to_numpy().tolist()
    assert sorted(likely) == [["p015", "mask"], ["p020", "stranger"]]


def test_values_steer_the_queue() -> None:
    rows, features = drawn(np.random.default_rng(2))
    features.faces[0] = 0
    flipped = rows["person_id"] == "p009"
    rows.loc[flipped, "gender"] = "female" if rows.loc[flipped, "gender"].iloc[0] == "male" else "male"
    issues = list_issues(find(rows, features, AgeCuts(), SETTINGS))
    first = [rank_people(issues, rows["person_id"], Values(quality=q))["person_id"].iloc[0] for q in (0.1, 9.0)]
    assert first == ["p009", "p000"]


def test_one_photo_of_another_gender_contradicts_its_profile() -> None:
    rows, features = drawn(np.random.default_rng(3))
    rows.loc[7 * 6 + 2, "gender"] = "female" if rows.loc[7 * 6, "gender"] == "male" else "male"
    listed, _ = findings_queue(rows, features)
    assert listed.iloc[0][["person_id", "kind"]].tolist() == ["p006", "gender"]
    assert "differs within the profile" in listed.iloc[0]["reason"]
    assert listed.iloc[0]["probability"] == 1


def test_the_commonest_label_is_judged_by_the_faces_and_a_tie_is_open() -> None:
    places = np.array([0, 0, 0, 1, 1, 2, 3, 3, 3, -1])
    labels = pd.Series(["male", "female", "male", "male", "female", "female", "male", "male", "female", "male"])
    filed, looks = np.array(["male", "female", "female", "male"], object), np.array(["male"] * 3 + ["female"], object)
    scores = LabelScores(np.array([0.9, 0.9, 0.2, 0.3]), looks, filed, np.array([True, True, False, True]))
    right, suggested = scores_of_photos(places, scores, labels)
    np.testing.assert_allclose(right, [18 / 19, 1 / 19, 18 / 19, 0.5, 0.5, 0.2, 6 / 13, 6 / 13, 7 / 13, np.nan])
    assert suggested.tolist() == [None, "male", None, None, None, "male", "female", "female", None, None]
    labels[2] = None  # no label is no vote: one against one
    assert scores_of_photos(places, scores, labels)[0][:3].tolist() == [0.5, 0.5, 0.5]
    unjudged = LabelScores(np.full(4, np.nan), looks, filed, scores.mixed)
    np.testing.assert_array_equal(scores_of_photos(places, unjudged, labels)[0][:6], [0.5] * 5 + [np.nan])


@pytest.mark.parametrize("case", ["one person", "one gender", "two women", "no labels", "one age"])
def test_bad_input_is_a_note_and_what_can_be_scored_is(case: str) -> None:
    rows, features = drawn(np.random.default_rng(4))
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
    found = find(rows, features, AgeCuts(), SETTINGS)
    assert any("cannot be judged" in note for note in found.notes)
    expected = {"one person": "gender", "one gender": "gender", "two women": "gender", "no labels": "gender"}
    scores = found.gender if case in expected else found.age
    assert np.isnan(scores.right).all()
    rank_people(list_issues(found), rows["person_id"], Values())
