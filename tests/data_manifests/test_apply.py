"""Applying corrections: the rows that they reach, and conflicts between them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from data_manifests.corrections.apply import apply_corrections
from tests.support.correction_logs import CUTS, apply, counts, event, family, log, outcome
from tests.support.manifest_tables import column, manifest, photo

# -- rows -------------------------------------------------------------------------------------------------------------


EVERY_P = {"normal", "worn", "normal_crop", "worn_crop", "masked", "masked_crop", "aged"}
OF_NORMAL = {"normal", "normal_crop", "masked", "masked_crop", "aged"}


@pytest.mark.parametrize(
    ("named", "scope", "what", "old", "new", "changed"),
    [
        ("normal", "sample", "gender", "male", "female", OF_NORMAL),
        ("normal_crop", "sample", "gender", "male", "female", OF_NORMAL),
        ("masked_crop", "sample", "gender", "male", "female", OF_NORMAL),
        ("worn", "person", "gender", "male", "female", EVERY_P),
        ("normal", "sample", "age", "25", "70", OF_NORMAL - {"aged"}),
        ("normal_crop", "person", "age", "25", "70", EVERY_P - {"aged"}),
        ("aged", "sample", "age", "65", "50", {"aged"}),
        ("normal", "sample", "mask", "none", "worn", {"normal", "normal_crop"}),
        ("worn_crop", "sample", "mask", "worn", "incorrect", {"worn", "worn_crop"}),
        ("masked", "sample", "mask", "worn", "incorrect", {"masked", "masked_crop"}),
        ("masked_crop", "sample", "mask", "worn", "incorrect", {"masked", "masked_crop"}),
        ("aged", "person", "age", "25", "50", EVERY_P - {"aged"}),
        ("normal", "sample", "exclude", "false", "true", OF_NORMAL),
        ("normal", "person", "exclude", "false", "true", EVERY_P),
        ("masked", "sample", "exclude", "false", "true", {"masked", "masked_crop"}),
        ("other", "person", "gender", "male", "female", {"other"}),
    ],
)
def test_a_correction_reaches_all_rows_made_from_the_photo(
    tmp_path: Path, named: str, scope: str, what: str, old: str, new: str, changed: set[str]
) -> None:
    rows = family()
    record = event(rows[named], what, old, new, scope=scope)
    after, report = apply(tmp_path, list(rows.values()), record)
    before = manifest(list(rows.values())).to_pylist()
    names = [name for name, a, b in zip(rows, before, after.to_pylist(), strict=True) if a != b]
    assert set(names) == changed
    assert counts(report) == {"applied": 1}
    assert report.rows_changed == report.table["rows"][0].as_py() == len(changed)
    by_name = dict(zip(rows, after.to_pylist(), strict=True))
    for name in changed:
        row = by_name[name]
        if what == "exclude":
            assert (row["status"], row["reason"], row["label_source"]) == (
                "excluded",
                "apply: excluded by ann",
                "ingest",
            )
        else:
            assert (str(row[what]), row["label_source"]) == (new, record.correction_id)


def test_age_class_and_class_follow(tmp_path: Path) -> None:
    rows = family()
    after, _ = apply(
        tmp_path, list(rows.values()),
        event(rows["normal"], "age", "25", "59"), event(rows["normal"], "gender", "male", "female"),
        event(rows["worn"], "mask", "worn", "incorrect"),
    )  # fmt: skip
    age_class, class_id = column(after, "age_class"), column(after, "class_id")
    assert (age_class[rows["normal_crop"]["sample_id"]], class_id[rows["normal_crop"]["sample_id"]]) == (1, 16)
    assert (age_class[rows["aged"]["sample_id"]], class_id[rows["aged"]["sample_id"]]) == (2, 17)
    assert class_id[rows["worn_crop"]["sample_id"]] == 6
    assert class_id[rows["other"]["sample_id"]] == 12


def test_a_person_may_be_named_without_a_picture(tmp_path: Path) -> None:
    rows = [photo("p", age=40), photo("p", "mask1", age=25)]
    record = replace(event(rows[0], "age", "25", "26", scope="person"), sample_id="")
    after, report = apply(tmp_path, rows, record)
    assert (after["age"].to_pylist(), counts(report)) == ([26, 26], {"applied": 1})


def test_a_picture_of_another_person_is_unplaced(tmp_path: Path) -> None:
    p, q = photo("p"), photo("q")
    after, report = apply(
        tmp_path, [p, q], replace(event(p, "gender", "male", "female", scope="person"), person_id="q")
    )
    assert (after["gender"].to_pylist(), counts(report)) == (["male", "male"], {"unplaced": 1})
    assert "is a picture of person 'p', not 'q'" in report.table["detail"][0].as_py()


# -- several corrections ----------------------------------------------------------------------------------------------


def test_an_annotators_latest_annotation_counts(tmp_path: Path) -> None:
    row = photo("p", mask="none")
    first, second = event(row, "mask", "none", "worn", day=1), event(row, "mask", "worn", "incorrect", day=2)
    for records in ((first, second), (second, first)):
        after, report = apply(tmp_path, [row], *records)
        assert after["mask"].to_pylist() == ["incorrect"]
        assert counts(report) == {"applied": 1, "superseded": 1}


def test_a_later_annotation_of_one_photo_leaves_the_others_of_the_person(tmp_path: Path) -> None:
    rows = [photo("p"), photo("p", "mask1")]
    person = event(rows[0], "gender", "male", "female", scope="person", day=1)
    sample = event(rows[1], "gender", "female", "male", day=2)
    after, report = apply(tmp_path, rows, person, sample)
    assert after["gender"].to_pylist() == ["female", "male"]
    assert outcome(report) == ["applied", "already"]


def test_withdrawing_restores_the_label(tmp_path: Path) -> None:
    row = photo("p", mask="none")
    first, back = event(row, "mask", "none", "worn", day=1), event(row, "mask", "worn", "", day=2)
    table = manifest([row])
    after, report = apply(tmp_path, [row], first, back)
    assert after.equals(table)
    assert outcome(report) == ["superseded", "already"]

    applied, _ = apply_corrections(table, log(tmp_path, first), CUTS, seed=0)
    assert applied["mask"].to_pylist() == ["worn"]
    restored, report = apply_corrections(applied, log(tmp_path, first, back), CUTS, seed=0)
    assert restored["mask"].to_pylist() == ["none"]
    assert outcome(report) == ["superseded", "applied"]

    third = event(row, "mask", "none", "incorrect", day=3)
    after, report = apply(tmp_path, [row], first, back, third)
    assert after["mask"].to_pylist() == ["incorrect"]


def test_withdrawing_restores_a_missing_label(tmp_path: Path) -> None:
    row = photo("p", age=None)
    first, back = event(row, "age", "", "45", day=1), event(row, "age", "45", "", day=2)
    table = manifest([row])
    applied, _ = apply_corrections(table, log(tmp_path, first), CUTS, seed=0)
    assert (applied["age"].to_pylist(), applied["age_class"].to_pylist()) == ([45], [1])
    restored, _ = apply_corrections(applied, log(tmp_path, first, back), CUTS, seed=0)
    for name in ("age", "age_class", "class_id"):
        assert restored[name].to_pylist() == [None]


def test_withdrawing_without_an_annotation_is_unplaced(tmp_path: Path) -> None:
    row = photo("p")
    after, report = apply(
        tmp_path, [row], event(row, "mask", "none", ""), event(row, "gender", "male", "female", "bob")
    )
    assert counts(report) == {"applied": 1, "unplaced": 1}
    assert "there is nothing to take back" in "\n".join(report.lines())
    assert after["mask"].to_pylist() == ["none"]


def test_withdrawing_one_of_two_annotations_that_agree_keeps_the_other(tmp_path: Path) -> None:
    row = photo("p", mask="none")
    records = [
        event(row, "mask", "none", "worn"),
        event(row, "mask", "none", "worn", "bob"),
        event(row, "mask", "worn", "", day=3),
    ]
    after, report = apply(tmp_path, [row], *records)
    assert after["mask"].to_pylist() == ["worn"]
    assert outcome(report) == ["superseded", "applied", "already"]


def test_annotations_that_differ_are_not_applied(tmp_path: Path) -> None:
    rows = [photo("p", mask="none"), photo("q", mask="none")]
    records = [
        event(rows[0], "mask", "none", "worn"), event(rows[0], "mask", "none", "incorrect", "bob", day=2),
        event(rows[1], "mask", "none", "worn", day=3),
    ]  # fmt: skip
    after, report = apply(tmp_path, rows, *records)
    assert after["mask"].to_pylist() == ["none", "worn"]
    assert outcome(report) == ["conflict", "conflict", "applied"]
    lines = report.lines()
    assert (
        lines[0] == "3 corrections: 1 applied, 0 already, 0 superseded, 2 conflict, 0 unplaced, 0 noted; 1 rows changed"
    )
    assert lines[1].startswith(f"log.csv line 2: conflict: mask of {rows[0]['sample_id']}: ann: worn; bob: inc")

    agreed = event(rows[0], "mask", "none", "worn", "bob", day=4)
    after, report = apply(tmp_path, rows, *records, agreed)
    assert after["mask"].to_pylist() == ["worn", "worn"]
    assert outcome(report) == ["applied", "superseded", "applied", "applied"]


def test_a_conflict_on_one_photo_stops_the_whole_correction_but_no_other(tmp_path: Path) -> None:
    rows = [photo("p"), photo("p", "mask1"), photo("p", "mask2")]
    person = event(rows[0], "gender", "male", "female", scope="person")
    stays = event(rows[1], "gender", "male", "male", "bob")
    agrees = event(rows[2], "gender", "male", "female", "cy")
    after, report = apply(tmp_path, rows, person, stays, agrees)
    assert after["gender"].to_pylist() == ["male", "male", "female"]
    assert outcome(report) == ["conflict", "conflict", "applied"]


def test_old_must_be_what_the_manifest_has(tmp_path: Path) -> None:
    row = photo("p", mask="incorrect")
    after, report = apply(tmp_path, [row], event(row, "mask", "none", "worn"))
    assert (after["mask"].to_pylist(), outcome(report)) == (["incorrect"], ["conflict"])
    assert "mask is incorrect in the manifest, not none." in report.lines()[1]


def test_an_image_that_has_changed_is_a_conflict(tmp_path: Path) -> None:
    row = photo("p", mask="none", sha256="a" * 64)
    seen, other = event(row, "mask", "none", "worn", image_sha256="a" * 64), "b" * 64
    assert outcome(apply(tmp_path, [row], seen)[1]) == ["applied"]
    after, report = apply(tmp_path, [row], replace(seen, image_sha256=other))
    assert (after["mask"].to_pylist(), outcome(report)) == (["none"], ["conflict"])
    assert "the picture has changed: aaaaaaaa now, bbbbbbbb when it was reviewed" in report.lines()[1]


@pytest.mark.parametrize(
    ("status", "reason"),
    [("ok", None), ("fallback", "detect: no face found"), ("failed", "crop: x"), ("excluded", "drop-ages: 58")],
)
def test_excluding_and_including_again_loses_nothing(tmp_path: Path, status: str, reason: str | None) -> None:
    row = photo("p", status=status, reason=reason)
    out, back = (
        event(row, "exclude", "false", "true", day=1),
        event(row, "exclude", "true", "false", "ann", day=2),
    )
    table = manifest([row])
    excluded, report = apply_corrections(table, log(tmp_path, out), CUTS, seed=0)
    assert (excluded["status"].to_pylist(), outcome(report)) == (["excluded"], ["applied"])
    assert "apply: excluded by ann" in excluded["reason"][0].as_py()
    for last in (back, replace(back, new="")):
        restored, _ = apply_corrections(excluded, log(tmp_path, out, last), CUTS, seed=0)
        assert restored.equals(table)
