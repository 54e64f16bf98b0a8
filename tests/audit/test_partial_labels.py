"""Sets labelled for some tasks only, with each photo a person of its own, or with none at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from audit.checks import default_weights, list_issues, run_checks
from audit.results import count_issues, order_issues, rank_people
from audit.results.fairness import flagged_by_group
from audit.run import run_audit
from audit.settings import AuditSettings
from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts
from data_manifests.versions.store import Store
from tests.support.audit_data import draw_photos
from tests.support.partial_sets import PARTIAL, write_partial

SETTINGS = AuditSettings(executor="serial")
COLUMNS = {"mask": ["mask"], "gender": ["gender"], "age": ["age", "age_class"]}


def single_photos(*tasks: str, seed: int = 5) -> tuple[pd.DataFrame, object]:
    """Photos as a folder of class folders gives them: no shots, and each named after its file."""
    rows, features = draw_photos(np.random.default_rng(seed))
    for task in set(COLUMNS) - set(tasks):
        rows[COLUMNS[task]] = None if task != "age" else np.nan
    rows["path"] = [f"photos/{position:04d}.jpg" for position in range(len(rows))]
    rows["person_id"] = rows["profile_id"] = rows["path"]
    rows["shot"] = None
    return rows, features


@pytest.mark.parametrize("task", ["mask", "gender", "age"])
def test_wrong_labels_of_the_only_task_come_first_and_the_others_are_silent(task: str) -> None:
    rows, features = single_photos(task)
    wrong = np.random.default_rng(1).choice(len(rows), round(0.05 * len(rows)), replace=False)
    change = {
        "mask": lambda given: MASKS[(MASKS.index(given) + 1) % 3],
        "gender": lambda given: GENDERS[1 - GENDERS.index(given)],
        "age": lambda given: 22 if given > 45 else 78,
    }[task]
    rows.loc[wrong, task] = [change(given) for given in rows[task].iloc[wrong]]
    data = run_checks(rows, features, AgeCuts(), SETTINGS)
    issues = list_issues(data)
    assert set(issues["kind"]) <= {task, "duplicate", "quality"}
    ranked = rank_people(issues, rows["person_id"], default_weights())
    first = set(ranked["person_id"][: round(0.1 * len(ranked))])
    assert len(first & set(rows["person_id"].iloc[wrong])) >= 0.8 * len(wrong)
    others = sorted(set(COLUMNS) - {task}, key=["mask", "gender", "age"].index)
    assert f"not checked: {', '.join(others)} (no labels)" in data.notes
    assert data.skipped["identity"].startswith("no photo shares a person")
    counts = {row["name"]: row["likely"] for row in count_issues(order_issues(issues, ranked), data.skipped)}
    assert [counts[name] for name in others] == [None, None]
    assert counts[task] > 0
    shares = flagged_by_group(data)
    assert shares.keys == (task,)
    assert sum(row[shares.unit] for row in shares.rows) == len(rows)


def test_labels_of_half_the_photos_are_checked_and_the_rest_is_left_empty() -> None:
    rows, features = single_photos("gender")
    known = np.random.default_rng(2).random(len(rows)) < 0.5
    rows.loc[~known, "gender"] = None
    data = run_checks(rows, features, AgeCuts(), SETTINGS)
    p_correct = data.scores["gender"].p_correct[data.groups.group_of_photo]
    np.testing.assert_array_equal(np.isfinite(p_correct), known)


def test_an_age_class_without_a_year_is_shown_as_a_class() -> None:
    rows, features = single_photos("age")
    wrong = int(np.flatnonzero(rows["age_class"] == 0)[0])
    rows.loc[wrong, "age_class"] = 2
    rows["age"] = np.nan
    issues = list_issues(run_checks(rows, features, AgeCuts(), SETTINGS))
    found = issues[(issues["kind"] == "age") & (issues["sample_ids"] == rows["sample_id"][wrong])].iloc[0]
    assert found["probability"] > 0.5
    assert found["given"] == ">=60"
    assert found["reason"].startswith("labelled >=60, predicted ")


def test_too_few_labels_are_a_note_with_the_counts() -> None:
    rows, features = single_photos("gender", "mask")
    rows.loc[10:, "gender"] = None
    rows["mask"] = "none"
    data = run_checks(rows, features, AgeCuts(), SETTINGS)
    assert data.skipped["gender"].endswith("it takes 20 people and 3 of each gender")
    assert data.skipped["mask"] == "all labels are 'none'"
    assert data.skipped["age"] == "no labels"
    assert data.probes == {}


@pytest.mark.parametrize("labelled", PARTIAL)
def test_any_labels_give_a_version_a_report_and_a_queue(store: Store, labelled: str) -> None:
    version = write_partial(store, labelled)
    done = run_audit(store.read(version.ref), store, SETTINGS)
    table = store.read(done.version.ref).table
    for task in set(COLUMNS) - set(labelled.replace("mixed", "mask+gender+age").split("+")):
        assert table.column(f"{task}_label_score").null_count == table.num_rows
        assert table.column(f"suggested_{task}").null_count == table.num_rows
        assert task in done.data.skipped
    page = done.report_path.read_text("utf8")
    assert ("Flagged labels by group" in page) == bool(flagged_by_group(done.data).rows)
    assert done.queue_path.is_file()


def test_a_person_and_a_picture_in_two_splits_are_reported(store: Store, tmp_path: Path) -> None:
    version = write_partial(store, "gender", count=8)
    table = store.read(version.ref).table
    people = table.column("person_id").to_pylist()
    people[3] = people[0]  # rows 3 and 7 are in val
    table = table.set_column(table.column_names.index("person_id"), "person_id", [people])
    done = run_audit(store.read(store.write("partial", table, "edit", parents=[version]).ref), store, SETTINGS)
    assert [(leak.kind, leak.name, leak.parts) for leak in done.leaks] == [("person", "000", ("train", "val"))]
    note = next(note for note in done.data.notes if note.startswith("leak: "))
    assert note.startswith("leak: 1 person is in more than one split")
    assert note.endswith("facecurate split partial@3 --reassign")
    assert "Leaks across the split" in done.report_path.read_text("utf8")
    assert done.summary()["leaks"][0]["name"] == "000"
