"""The correction log, and what applying it does to a manifest."""

from __future__ import annotations

import csv
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_manifests.apply import ApplyReport, apply_corrections, apply_to_store
from data_manifests.corrections import (
    COLUMNS,
    Correction,
    append_correction,
    append_corrections,
    read_corrections,
    to_line,
)
from data_manifests.errors import CorrectionError
from data_manifests.schema import validate
from data_manifests.store import Store
from data_manifests.taxonomy import AgeCuts
from tests.manifest_tables import column, crop, manifest, photo, synthetic

Row = dict[str, Any]
CUTS = AgeCuts()
ODD = st.text(st.sampled_from("'=+-@\t\r\n\\\",;nr \0aé\u2028\x85"), max_size=8) | st.text(max_size=20)


def said(row: Row, what: str, old: str, new: str, by: str = "ann", *, day: int = 1, **values: str) -> Correction:
    """A correction of a row, made on a day of November."""
    name = f"{by}-{day}-{row['sample_id'][:4]}-{what}"
    made = {
        "correction_id": name,
        "scope": "sample",
        "time": f"2026-11-{day:02d}T12:00:00+00:00",
        "manifest": "faces@1#00000000",
    } | values
    return Correction(
        sample_id=row["sample_id"], person_id=row["person_id"], field=what, old=old, new=new, annotator=by,
        **made,
    )  # fmt: skip


def log(tmp_path: Path, *records: Correction, name: str = "log.csv") -> pa.Table:
    path = tmp_path / name
    path.write_text(to_line(COLUMNS))
    for record in records:
        append_correction(path, record)
    return read_corrections([path])


def apply(tmp_path: Path, rows: list[Row], *records: Correction, seed: int = 0) -> tuple[pa.Table, ApplyReport]:
    """Apply to a manifest of these rows; and check that applying again changes nothing."""
    table = manifest(rows)
    corrections = log(tmp_path, *records)
    after, report = apply_corrections(table, corrections, CUTS, seed=seed)
    validate(after)
    again, second = apply_corrections(after, corrections, CUTS, seed=seed)
    assert again.to_pylist() == after.to_pylist()
    assert (second.rows_changed, second.counts["applied"]) == (0, 0)
    assert sum(report.counts.values()) == len(records)
    assert report.rows_changed == sum(a != b for a, b in zip(table.to_pylist(), after.to_pylist(), strict=True))
    return after, report


def counts(report: ApplyReport) -> dict[str, int]:
    return {outcome: count for outcome, count in report.counts.items() if count}


# -- the file ---------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(notes=st.lists(st.tuples(ODD, ODD), min_size=1, max_size=4), bom=st.booleans(), crlf=st.booleans())
def test_any_text_survives_the_log(tmp_path: Path, notes: list[tuple[str, str]], bom: bool, crlf: bool) -> None:
    records = [
        replace(said(photo("p"), "mask", "none", "worn", day=i + 1), note=note, sample_id=name + "x")
        for i, (note, name) in enumerate(notes)
    ]
    read = log(tmp_path, *records)
    assert read.select(COLUMNS).to_pylist() == [{name: asdict(record)[name] for name in COLUMNS} for record in records]
    assert set(read["problem"].to_pylist()) == {""}
    assert read["line"].to_pylist() == list(range(2, len(records) + 2))

    path = tmp_path / "log.csv"
    data = path.read_bytes()
    for cells in csv.reader(data.decode().split("\n")[:-1], strict=True):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)
    path.write_bytes((b"\xef\xbb\xbf" if bom else b"") + (data.replace(b"\n", b"\r\n") if crlf else data))
    assert read_corrections([path]).equals(read)


def test_a_spreadsheet_may_have_moved_columns_and_added_some(tmp_path: Path) -> None:
    record = said(photo("p"), "mask", "none", "worn")
    names = [*reversed(COLUMNS), "remark"]
    path = tmp_path / "sheet.csv"
    path.write_text(to_line(names) + to_line([*(asdict(record)[name] for name in reversed(COLUMNS)), "!"]) + "\n\r\n")
    assert read_corrections([path]).select(COLUMNS).to_pylist() == [{name: asdict(record)[name] for name in COLUMNS}]


BAD = [
    ("field", "race", r"field must be one of \{mask, gender, age, exclude, unsure\}\. Got 'race' instead"),
    ("scope", "all", r"scope must be one of \{sample, person\}\. Got 'all'"),
    ("scope", "person", r"scope must be sample when field is mask: a person's shots differ"),
    ("new", "yes", r"new of mask must be one of \{worn, incorrect, none\}\. Got 'yes'"),
    ("old", "yes", r"old of mask must be one of"),
    ("manifest", "faces@1", r"manifest must be a version with its hash, such as faces@2#9f86d081\. Got 'faces@1'"),
    ("annotator", "", r"annotator must be a name in one line"),
    ("annotator", "a;b", r"annotator must be a name in one line"),
    ("annotator", "=cmd()", r"annotator must be a name in one line"),
    ("time", "yesterday", r"time must be ISO 8601 with a zone, such as 2026-11-20T12:00:00Z\. Got 'yesterday'"),
    ("time", "2026-11-20T12:00:00", r"time must be ISO 8601 with a zone"),
    ("sample_id", "", r"sample_id must not be empty when scope is sample"),
    ("correction_id", "", r"correction_id must not be empty"),
    ("image_sha256", "abc", r"image_sha256 must be 64 hex digits or empty\. Got 'abc'"),
    ("note", "x" * 10_001, r"note must have at most 10000 characters\. Got 10001"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_a_broken_record_is_not_written_and_if_read_is_reported(
    tmp_path: Path, name: str, value: str, message: str
) -> None:
    good, row = said(photo("p"), "mask", "none", "worn", day=2), photo("p")
    bad = replace(said(row, "mask", "none", "worn"), **{name: value})
    with pytest.raises(CorrectionError, match=message):
        append_correction(tmp_path / "log.csv", bad)
    assert not (tmp_path / "log.csv").exists()
    path = tmp_path / "by_hand.csv"
    path.write_text(to_line(COLUMNS) + "".join(to_line([asdict(c)[n] for n in COLUMNS]) for c in (bad, good)))
    after, report = apply_corrections(manifest([row]), read_corrections([path]), CUTS, seed=0)
    assert counts(report) == {"applied": 1, "unplaced": 1}
    assert after["mask"].to_pylist() == ["worn"]
    first = report.table.to_pylist()[0]
    assert (first["file"], first["line"], first["outcome"]) == ("by_hand.csv", 2, "unplaced")
    with pytest.raises(CorrectionError, match=message):
        raise CorrectionError(first["detail"])


@pytest.mark.parametrize("value", ["117", "-1", "3.5", "class:3", "class:", "old", "٣٣"])
def test_ages_that_are_none(tmp_path: Path, value: str) -> None:
    message = r"new of age must be one of \{0 to 116, class:0, class:1, class:2\}"
    with pytest.raises(CorrectionError, match=message):
        append_correction(tmp_path / "log.csv", said(photo("p"), "age", "25", value))


def test_files_that_are_no_log(tmp_path: Path) -> None:
    other, binary, empty = tmp_path / "train.csv", tmp_path / "photo.csv", tmp_path / "empty.csv"
    other.write_text("id,gender,race,age,path\n1,male,a,20,x\n")
    binary.write_bytes(to_line(COLUMNS).encode() + b"\xff\xd8\xff")
    empty.touch()
    with pytest.raises(CorrectionError, match=r"train\.csv is not a correction log: it has no column 'correction_id'"):
        read_corrections([other])
    with pytest.raises(CorrectionError, match=r"photo\.csv must be UTF-8; byte \d+ is not"):
        read_corrections([binary])
    with pytest.raises(CorrectionError, match=r"empty\.csv is not a correction log"):
        read_corrections([empty])
    with pytest.raises(CorrectionError, match=r"none\.csv cannot be read: No such file"):
        read_corrections([tmp_path / "none.csv"])
    with pytest.raises(CorrectionError, match=r"train\.csv is not a correction log in this toolkit's order"):
        append_correction(other, said(photo("p"), "mask", "none", "worn"))


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(1, 120))
def test_a_torn_record_harms_no_other(tmp_path: Path, cut: int) -> None:
    """The power fails while the second of three records is written; the quoted note is the hard case."""
    records = [said(photo("p"), "mask", "none", "worn", day=day, note='a, "b", c\nd') for day in (1, 2, 3)]
    log(tmp_path, *records[:2])
    path = tmp_path / "log.csv"
    data = path.read_bytes()
    path.write_bytes(data[:-cut])
    append_correction(path, records[2])
    read = read_corrections([path]).to_pylist()
    assert len(read) == 3
    assert (read[0]["correction_id"], read[0]["problem"]) == (records[0].correction_id, "")
    assert read[-1]["correction_id"] == records[2].correction_id
    assert not read[-1]["problem"]


def test_a_record_in_two_files_counts_once_and_two_records_under_one_id_do_not_count(tmp_path: Path) -> None:
    one = said(photo("p"), "mask", "none", "worn")
    twin = said(photo("q"), "mask", "none", "worn", correction_id=one.correction_id)
    for name, record in (("a.csv", one), ("b.csv", one), ("c.csv", twin)):
        append_correction(tmp_path / name, record)
    files = [tmp_path / name for name in ("a.csv", "b.csv", "c.csv")]
    assert read_corrections(files[:2]).num_rows == 1
    read = read_corrections(files)
    assert set(read["problem"].to_pylist()) == {"correction_id stands in records that differ."}
    assert set(read["file"].to_pylist()) == {"a.csv", "b.csv", "c.csv"}


def _append_some(path: Path, annotator: str) -> None:
    for day in range(1, 11):
        append_correction(path, said(photo("p"), "mask", "none", "worn", annotator, day=day, note="n" * 500))


def test_many_writers_of_one_log(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    with ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as pool:
        for result in [pool.submit(_append_some, path, name) for name in ("ann", "bob", "cy")]:
            result.result()
    read = read_corrections([path])
    assert read.num_rows == 30
    assert set(read["problem"].to_pylist()) == {""}
    assert path.read_text().count("correction_id") == 1


# -- which rows -------------------------------------------------------------------------------------------------


def family() -> dict[str, Row]:
    """Two photos of a person, a crop of each, two synthetic shots (one with its crop, one aged), another person."""
    normal, worn = photo("p", age=25), photo("p", "mask1", age=25)
    masked = synthetic(normal, 1, "mask1")
    return {
        "normal": normal, "worn": worn, "normal_crop": crop(normal), "worn_crop": crop(worn),
        "masked": masked, "masked_crop": crop(masked), "aged": synthetic(normal, 2, "normal", age=65, mask="none"),
        "other": photo("q", age=25),
    }  # fmt: skip


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
def test_a_correction_reaches_the_family(
    tmp_path: Path, named: str, scope: str, what: str, old: str, new: str, changed: set[str]
) -> None:
    rows = family()
    record = said(rows[named], what, old, new, scope=scope)
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
        said(rows["normal"], "age", "25", "59"), said(rows["normal"], "gender", "male", "female"),
        said(rows["worn"], "mask", "worn", "incorrect"),
    )  # fmt: skip
    age_class, class_id = column(after, "age_class"), column(after, "class_id")
    assert (age_class[rows["normal_crop"]["sample_id"]], class_id[rows["normal_crop"]["sample_id"]]) == (1, 16)
    assert (age_class[rows["aged"]["sample_id"]], class_id[rows["aged"]["sample_id"]]) == (2, 17)
    assert class_id[rows["worn_crop"]["sample_id"]] == 6
    assert class_id[rows["other"]["sample_id"]] == 12


def test_a_person_may_be_named_without_a_picture(tmp_path: Path) -> None:
    rows = [photo("p", age=40), photo("p", "mask1", age=25)]
    record = replace(said(rows[0], "age", "25", "26", scope="person"), sample_id="")
    after, report = apply(tmp_path, rows, record)
    assert (after["age"].to_pylist(), counts(report)) == ([26, 26], {"applied": 1})


def test_nothing_is_done_for_a_picture_of_another_person(tmp_path: Path) -> None:
    p, q = photo("p"), photo("q")
    after, report = apply(tmp_path, [p, q], replace(said(p, "gender", "male", "female", scope="person"), person_id="q"))
    assert (after["gender"].to_pylist(), counts(report)) == (["male", "male"], {"unplaced": 1})
    assert "is a picture of person 'p', not 'q'" in report.table["detail"][0].as_py()


# -- what counts ------------------------------------------------------------------------------------------------


def outcome(report: ApplyReport) -> list[str]:
    return report.table["outcome"].to_pylist()


def test_the_later_word_of_an_annotator_counts(tmp_path: Path) -> None:
    row = photo("p", mask="none")
    first, second = said(row, "mask", "none", "worn", day=1), said(row, "mask", "worn", "incorrect", day=2)
    for records in ((first, second), (second, first)):
        after, report = apply(tmp_path, [row], *records)
        assert after["mask"].to_pylist() == ["incorrect"]
        assert counts(report) == {"applied": 1, "superseded": 1}


def test_a_later_word_about_one_photo_leaves_the_others_of_the_person(tmp_path: Path) -> None:
    rows = [photo("p"), photo("p", "mask1")]
    person = said(rows[0], "gender", "male", "female", scope="person", day=1)
    sample = said(rows[1], "gender", "female", "male", day=2)
    after, report = apply(tmp_path, rows, person, sample)
    assert after["gender"].to_pylist() == ["female", "male"]
    assert outcome(report) == ["applied", "already"]


def test_taking_back(tmp_path: Path) -> None:
    row = photo("p", mask="none")
    first, back = said(row, "mask", "none", "worn", day=1), said(row, "mask", "worn", "", day=2)
    table = manifest([row])
    after, report = apply(tmp_path, [row], first, back)
    assert after.equals(table)
    assert outcome(report) == ["superseded", "already"]

    applied, _ = apply_corrections(table, log(tmp_path, first), CUTS, seed=0)
    assert applied["mask"].to_pylist() == ["worn"]
    restored, report = apply_corrections(applied, log(tmp_path, first, back), CUTS, seed=0)
    assert restored["mask"].to_pylist() == ["none"]
    assert outcome(report) == ["superseded", "applied"]

    third = said(row, "mask", "none", "incorrect", day=3)
    after, report = apply(tmp_path, [row], first, back, third)
    assert after["mask"].to_pylist() == ["incorrect"]


def test_taking_back_restores_a_missing_label(tmp_path: Path) -> None:
    row = photo("p", age=None)
    first, back = said(row, "age", "", "45", day=1), said(row, "age", "45", "", day=2)
    table = manifest([row])
    applied, _ = apply_corrections(table, log(tmp_path, first), CUTS, seed=0)
    assert (applied["age"].to_pylist(), applied["age_class"].to_pylist()) == ([45], [1])
    restored, _ = apply_corrections(applied, log(tmp_path, first, back), CUTS, seed=0)
    for name in ("age", "age_class", "class_id"):
        assert restored[name].to_pylist() == [None]


def test_taking_back_what_was_never_said(tmp_path: Path) -> None:
    row = photo("p")
    after, report = apply(tmp_path, [row], said(row, "mask", "none", ""), said(row, "gender", "male", "female", "bob"))
    assert counts(report) == {"applied": 1, "unplaced": 1}
    assert "there is nothing to take back" in "\n".join(report.lines())
    assert after["mask"].to_pylist() == ["none"]


def test_taking_back_one_of_two_that_agree_leaves_the_other(tmp_path: Path) -> None:
    row = photo("p", mask="none")
    records = [
        said(row, "mask", "none", "worn"),
        said(row, "mask", "none", "worn", "bob"),
        said(row, "mask", "worn", "", day=3),
    ]
    after, report = apply(tmp_path, [row], *records)
    assert after["mask"].to_pylist() == ["worn"]
    assert outcome(report) == ["superseded", "applied", "already"]


def test_two_who_differ_are_both_refused(tmp_path: Path) -> None:
    rows = [photo("p", mask="none"), photo("q", mask="none")]
    records = [
        said(rows[0], "mask", "none", "worn"), said(rows[0], "mask", "none", "incorrect", "bob", day=2),
        said(rows[1], "mask", "none", "worn", day=3),
    ]  # fmt: skip
    after, report = apply(tmp_path, rows, *records)
    assert after["mask"].to_pylist() == ["none", "worn"]
    assert outcome(report) == ["conflict", "conflict", "applied"]
    lines = report.lines()
    assert (
        lines[0] == "3 corrections: 1 applied, 0 already, 0 superseded, 2 conflict, 0 unplaced, 0 noted; 1 rows changed"
    )
    assert lines[1].startswith(f"log.csv line 2: conflict: mask of {rows[0]['sample_id']}: ann says worn; bob says inc")

    agreed = said(rows[0], "mask", "none", "worn", "bob", day=4)
    after, report = apply(tmp_path, rows, *records, agreed)
    assert after["mask"].to_pylist() == ["worn", "worn"]
    assert outcome(report) == ["applied", "superseded", "applied", "applied"]


def test_a_conflict_on_one_photo_stops_the_whole_correction_and_no_other(tmp_path: Path) -> None:
    rows = [photo("p"), photo("p", "mask1"), photo("p", "mask2")]
    person = said(rows[0], "gender", "male", "female", scope="person")
    stays = said(rows[1], "gender", "male", "male", "bob")
    agrees = said(rows[2], "gender", "male", "female", "cy")
    after, report = apply(tmp_path, rows, person, stays, agrees)
    assert after["gender"].to_pylist() == ["male", "male", "female"]
    assert outcome(report) == ["conflict", "conflict", "applied"]


def test_old_must_be_what_the_manifest_has(tmp_path: Path) -> None:
    row = photo("p", mask="incorrect")
    after, report = apply(tmp_path, [row], said(row, "mask", "none", "worn"))
    assert (after["mask"].to_pylist(), outcome(report)) == (["incorrect"], ["conflict"])
    assert "mask is incorrect in the manifest, not none." in report.lines()[1]


def test_an_image_that_has_changed_is_a_conflict(tmp_path: Path) -> None:
    row = photo("p", mask="none", sha256="a" * 64)
    seen, other = said(row, "mask", "none", "worn", image_sha256="a" * 64), "b" * 64
    assert outcome(apply(tmp_path, [row], seen)[1]) == ["applied"]
    after, report = apply(tmp_path, [row], replace(seen, image_sha256=other))
    assert (after["mask"].to_pylist(), outcome(report)) == (["none"], ["conflict"])
    assert "the picture has changed: aaaaaaaa now, bbbbbbbb when it was reviewed" in report.lines()[1]


@pytest.mark.parametrize(
    ("status", "reason"),
    [("ok", None), ("fallback", "detect: no face found"), ("failed", "crop: x"), ("excluded", "drop-ages: 58")],
)
def test_excluding_and_back_loses_nothing(tmp_path: Path, status: str, reason: str | None) -> None:
    row = photo("p", status=status, reason=reason)
    out, back = said(row, "exclude", "false", "true", day=1), said(row, "exclude", "true", "false", "ann", day=2)
    table = manifest([row])
    excluded, report = apply_corrections(table, log(tmp_path, out), CUTS, seed=0)
    assert (excluded["status"].to_pylist(), outcome(report)) == (["excluded"], ["applied"])
    assert "apply: excluded by ann" in excluded["reason"][0].as_py()
    for last in (back, replace(back, new="")):
        restored, _ = apply_corrections(excluded, log(tmp_path, out, last), CUTS, seed=0)
        assert restored.equals(table)


# -- ages drawn within a class ----------------------------------------------------------------------------------


def test_an_age_class_becomes_an_age_of_the_manifest_in_it(tmp_path: Path) -> None:
    people = [photo(f"p{i}", age=25) for i in range(40)]
    others = [photo("a", age=60), photo("b", age=63), photo("c", age=30), synthetic(photo("p0"), age=99)]
    records = [said(row, "age", "25", "class:2", day=1 + i % 28) for i, row in enumerate(people)]
    after, report = apply(tmp_path, people + others, *records, seed=5)
    drawn = after["age"].to_pylist()[:40]
    assert set(drawn) == {60, 61, 62, 63}
    assert after["age_class"].to_pylist()[:40] == [2] * 40
    assert counts(report) == {"applied": 40}
    fewer, _ = apply(tmp_path, people + others, *reversed(records[:20]), seed=5)
    assert fewer["age"].to_pylist()[:20] == drawn[:20], "a draw must not depend on the other corrections"
    other_seed, _ = apply(tmp_path, people + others, *records, seed=6)
    assert other_seed["age"].to_pylist()[:40] != drawn


def test_a_person_keeps_one_age_when_the_class_is_corrected_photo_by_photo(tmp_path: Path) -> None:
    rows = [photo("p", shot, age=25) for shot in ("normal", "mask1", "mask2", "mask3")] + [photo("q", age=116)]
    after, _ = apply(tmp_path, rows, *(said(row, "age", "class:0", "class:2") for row in rows[:4]))
    assert len(set(after["age"].to_pylist()[:4])) == 1
    assert after["age"][0].as_py() >= 60


def test_an_age_that_lies_in_the_class_already_stays(tmp_path: Path) -> None:
    row = photo("p", age=64)
    after, report = apply(tmp_path, [row], said(row, "age", "64", "class:2"))
    assert (after["age"].to_pylist(), outcome(report)) == ([64], ["already"])


def test_photos_with_a_class_and_no_age(tmp_path: Path) -> None:
    table = manifest([photo("p", age=20), photo("q", age=70)])
    table = table.set_column(table.schema.get_field_index("age"), "age", pa.array([None, None], pa.int32()))
    p = photo("p")
    after, report = apply_corrections(
        table,
        log(tmp_path, said(p, "age", "class:0", "class:1"), said(photo("q"), "gender", "male", "female")),
        CUTS,
        seed=0,
    )
    assert outcome(report) == ["applied", "applied"]
    assert 30 <= after["age"][0].as_py() <= 59
    assert after["age_class"].to_pylist() == [1, 2]
    assert after["class_id"].to_pylist() == [13, 17]


# -- in a store -------------------------------------------------------------------------------------------------


def test_apply_to_store_twice_is_one_version(store: Store, tmp_path: Path) -> None:
    rows = list(family().values())
    base = store.write("faces", manifest(rows), "ingest")
    path = tmp_path / "ann.csv"
    append_correction(path, replace(said(rows[0], "gender", "male", "female"), manifest=base.pinned))
    tried, forecast = apply_to_store(store, "faces", [path], dry_run=True)
    assert tried == base
    assert len(store.log("faces")) == 1
    version, report = apply_to_store(store, "faces", [path])
    assert forecast.table.equals(report.table)
    assert (version.number, version.parents, version.seed) == (2, (base.pinned,), 0)
    assert version.parameters["corrections"][0]["file"] == "ann.csv"
    assert report.counts["applied"] == 1
    assert apply_to_store(store, "faces@1", [path])[0] == version
    again, second = apply_to_store(store, "faces", [path])
    assert again == version
    assert second.counts == report.counts | {"applied": 0, "already": 1}
    assert len(store.log("faces")) == 2
    report.write_csv(tmp_path / "out" / "report.csv")
    with (tmp_path / "out" / "report.csv").open() as file:
        assert next(csv.DictReader(file))["outcome"] == "applied"


def test_a_correction_of_a_crop_that_is_gone_reaches_the_photo(store: Store, tmp_path: Path) -> None:
    """Reviewed on crops of one run, applied to photos, and to crops of another run with other ids."""
    one, two = photo("p", mask="none"), photo("q", mask="none")
    photos = store.write("faces", manifest([one, two]), "ingest")
    reviewed = store.write("faces", manifest([crop(one), crop(two)]), "crop", parents=[photos])
    newer = [crop(one, path="crop2/p.png", sample_id="1" * 16), crop(two, path="crop2/q.png", sample_id="2" * 16)]
    newest = store.write("faces", manifest(newer), "crop", parents=[photos], parameters={"margin": 2})
    path, elsewhere = tmp_path / "ann.csv", tmp_path / "bob.csv"
    record = said(crop(one), "mask", "none", "worn")
    append_correction(path, replace(record, manifest=reviewed.pinned))
    for base in (photos, newest):
        version, report = apply_to_store(store, base.ref, [path])
        assert store.read(version.ref).table["mask"].to_pylist() == ["worn", "none"]
        assert counts(report) == {"applied": 1}
    for manifest_ref in ("faces@2#" + "0" * 8, "nowhere@1#00000000"):
        elsewhere.unlink(missing_ok=True)
        append_correction(elsewhere, replace(record, manifest=manifest_ref))
        version, report = apply_to_store(store, photos.ref, [elsewhere])
        assert (version, counts(report)) == (photos, {"unplaced": 1})
        assert f"{manifest_ref} does not lead to a photo that is" in report.lines()[1]


def test_an_empty_log_changes_nothing(store: Store, tmp_path: Path) -> None:
    base = store.write("faces", manifest([photo("p")]), "ingest")
    path = tmp_path / "log.csv"
    path.write_text(to_line(COLUMNS))
    version, report = apply_to_store(store, "faces", [path])
    assert version == base
    assert report.lines() == [
        "0 corrections: 0 applied, 0 already, 0 superseded, 0 conflict, 0 unplaced, 0 noted; 0 rows changed"
    ]


# -- any log ----------------------------------------------------------------------------------------------------

WORDS = {"mask": ["none", "worn", "incorrect"], "gender": ["male", "female"], "exclude": ["false", "true"],
         "age": ["25", "64", "class:1", "class:2"]}  # fmt: skip


@st.composite
def records(draw: st.DrawFn) -> list[Correction]:
    rows = list(family().values())
    made = []
    for day in range(1, draw(st.integers(0, 8)) + 1):
        what = draw(st.sampled_from(sorted(WORDS)))
        old, new = draw(st.sampled_from(WORDS[what])), draw(st.sampled_from([*WORDS[what], ""]))
        by = draw(st.sampled_from(["ann", "bob"]))
        scope = draw(st.sampled_from(["sample"] if what == "mask" else ["sample", "person"]))
        made.append(said(draw(st.sampled_from(rows)), what, old, new, by, day=day, scope=scope))
    return made


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=records(), data=st.data())
def test_any_log_applies_in_any_order_to_any_order_of_rows(
    tmp_path: Path, made: list[Correction], data: st.DataObject
) -> None:
    rows = list(family().values())
    after, report = apply_corrections(manifest(rows), log(tmp_path, *made), CUTS, seed=1)
    validate(after)
    assert sum(report.counts.values()) == len(made)
    shuffled = data.draw(st.permutations(made))
    other, second = apply_corrections(manifest(list(reversed(rows))), log(tmp_path, *shuffled), CUTS, seed=1)
    assert sorted(map(str, other.to_pylist())) == sorted(map(str, after.to_pylist()))
    assert second.counts == report.counts
    again, third = apply_corrections(after, log(tmp_path, *made), CUTS, seed=1)
    assert again.to_pylist() == after.to_pylist()
    assert third.rows_changed == 0
    # every changed row carries a value that somebody in the log asked for
    asked = {record.correction_id for record in made}
    for before, now in zip(manifest(rows).to_pylist(), after.to_pylist(), strict=True):
        labels = [name for name in ("mask", "gender", "age") if before[name] != now[name]]
        assert (now["label_source"] in asked) == bool(labels)


def test_lock_files_hide_beside_the_log(tmp_path: Path) -> None:
    append_correction(tmp_path / "ann.csv", said(photo("p"), "mask", "none", "worn"))
    assert [name for name in os.listdir(tmp_path) if not name.startswith(".")] == ["ann.csv"]


def test_unsure_is_noted_and_changes_nothing(tmp_path: Path) -> None:
    row = photo("p", mask="none")
    after, report = apply(tmp_path, [row], said(row, "unsure", "false", "true"), said(row, "mask", "none", "worn"))
    assert counts(report) == {"noted": 1, "applied": 1}
    assert after["mask"].to_pylist() == ["worn"]


def test_records_are_appended_together_or_not_at_all(tmp_path: Path) -> None:
    row, path = photo("p", mask="none"), tmp_path / "log.csv"
    good, bad = said(row, "mask", "none", "worn"), said(row, "gender", "male", "robot")
    with pytest.raises(CorrectionError, match="robot"):
        append_corrections(path, [good, bad])
    assert not path.exists()
    append_corrections(path, [good, said(row, "gender", "male", "female", day=2)])
    assert read_corrections([path])["field"].to_pylist() == ["mask", "gender"]
