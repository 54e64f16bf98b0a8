"""The correction log: it keeps any text, a broken record does not affect others, and many may write to it."""

from __future__ import annotations

import csv
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_manifests.corrections.apply import apply_corrections
from data_manifests.corrections.lines import to_line
from data_manifests.corrections.log import append_correction, append_corrections, read_corrections
from data_manifests.corrections.record import COLUMNS
from data_manifests.errors import CorrectionError
from tests.support.correction_logs import CUTS, apply, counts, event, log
from tests.support.manifest_tables import manifest, photo

ODD = st.text(st.sampled_from("'=+-@\t\r\n\\\",;nr \0aé\u2028\x85"), max_size=8) | st.text(max_size=20)


# -- the file ---------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(notes=st.lists(st.tuples(ODD, ODD), min_size=1, max_size=4), bom=st.booleans(), crlf=st.booleans())
def test_the_log_keeps_any_text(tmp_path: Path, notes: list[tuple[str, str]], bom: bool, crlf: bool) -> None:
    records = [
        replace(event(photo("p"), "mask", "none", "worn", day=i + 1), note=note, sample_id=name + "x")
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


def test_columns_may_be_reordered_and_added(tmp_path: Path) -> None:
    record = event(photo("p"), "mask", "none", "worn")
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
def test_a_broken_record_is_not_written_and_is_reported_when_read(
    tmp_path: Path, name: str, value: str, message: str
) -> None:
    good, row = event(photo("p"), "mask", "none", "worn", day=2), photo("p")
    bad = replace(event(row, "mask", "none", "worn"), **{name: value})
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
def test_invalid_ages_are_rejected(tmp_path: Path, value: str) -> None:
    message = r"new of age must be one of \{0 to 116, class:0, class:1, class:2\}"
    with pytest.raises(CorrectionError, match=message):
        append_correction(tmp_path / "log.csv", event(photo("p"), "age", "25", value))


def test_other_files_are_rejected(tmp_path: Path) -> None:
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
    with pytest.raises(CorrectionError, match=r"correction log .*none\.csv' does not exist"):
        read_corrections([tmp_path / "none.csv"])
    with pytest.raises(CorrectionError, match=r"train\.csv is not a correction log in this toolkit's order"):
        append_correction(other, event(photo("p"), "mask", "none", "worn"))


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(1, 120))
def test_an_incomplete_record_does_not_affect_others(tmp_path: Path, cut: int) -> None:
    """The power fails while the second of three records is written; the quoted note is the hard case."""
    records = [event(photo("p"), "mask", "none", "worn", day=day, note='a, "b", c\nd') for day in (1, 2, 3)]
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


def test_a_record_in_two_files_counts_once_and_records_that_differ_under_one_id_are_rejected(tmp_path: Path) -> None:
    one = event(photo("p"), "mask", "none", "worn")
    clashing = event(photo("q"), "mask", "none", "worn", correction_id=one.correction_id)
    for name, record in (("a.csv", one), ("b.csv", one), ("c.csv", clashing)):
        append_correction(tmp_path / name, record)
    files = [tmp_path / name for name in ("a.csv", "b.csv", "c.csv")]
    assert read_corrections(files[:2]).num_rows == 1
    read = read_corrections(files)
    assert set(read["problem"].to_pylist()) == {"correction_id stands in records that differ."}
    assert set(read["file"].to_pylist()) == {"a.csv", "b.csv", "c.csv"}


def _append_some(path: Path, annotator: str) -> None:
    for day in range(1, 11):
        append_correction(path, event(photo("p"), "mask", "none", "worn", annotator, day=day, note="n" * 500))


@pytest.mark.slow
def test_several_processes_write_to_one_log(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    with ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as pool:
        for result in [pool.submit(_append_some, path, name) for name in ("ann", "bob", "cy")]:
            result.result()
    read = read_corrections([path])
    assert read.num_rows == 30
    assert set(read["problem"].to_pylist()) == {""}
    assert path.read_text().count("correction_id") == 1


def test_lock_files_are_hidden(tmp_path: Path) -> None:
    append_correction(tmp_path / "ann.csv", event(photo("p"), "mask", "none", "worn"))
    assert [name for name in os.listdir(tmp_path) if not name.startswith(".")] == ["ann.csv"]


def test_unsure_is_noted_and_changes_nothing(tmp_path: Path) -> None:
    row = photo("p", mask="none")
    after, report = apply(tmp_path, [row], event(row, "unsure", "false", "true"), event(row, "mask", "none", "worn"))
    assert counts(report) == {"noted": 1, "applied": 1}
    assert after["mask"].to_pylist() == ["worn"]


def test_records_are_appended_together_or_not_at_all(tmp_path: Path) -> None:
    row, path = photo("p", mask="none"), tmp_path / "log.csv"
    good, bad = event(row, "mask", "none", "worn"), event(row, "gender", "male", "robot")
    with pytest.raises(CorrectionError, match="robot"):
        append_corrections(path, [good, bad])
    assert not path.exists()
    append_corrections(path, [good, event(row, "gender", "male", "female", day=2)])
    assert read_corrections([path])["field"].to_pylist() == ["mask", "gender"]
