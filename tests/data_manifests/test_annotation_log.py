"""One annotation log: old and new logs give `apply`, agreement, review and grid the same latest annotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation_app.annotations import ReviewProgress, log_paths
from curation_app.images.manifest_rows import load_manifest_rows
from curation_app.review.leases import ALL_ANNOTATORS
from data_manifests.agreement import annotated_labels, conflicts
from data_manifests.corrections import exclusions
from data_manifests.corrections.annotator_log import AnnotatorLog
from data_manifests.corrections.apply import apply_corrections, apply_to_store
from data_manifests.corrections.lines import from_legacy, to_line
from data_manifests.corrections.log import LogReader, append_correction, append_corrections, read_corrections
from data_manifests.corrections.record import (
    ADDED_COLUMNS,
    COLUMNS,
    FIRST_COLUMNS,
    Correction,
    problem_of,
)
from data_manifests.errors import CorrectionError
from data_manifests.versions.content_hash import table_sha256
from data_manifests.versions.store import Store
from tests.support.app_server import write_people
from tests.support.correction_logs import CUTS, counts, event, family
from tests.support.manifest_tables import manifest, photo
from tests.support.review_sessions import press, saved_records, start_session

Row = dict[str, Any]


def legacy_line(record: Correction) -> str:
    """A record as version 0.1 wrote it."""
    return to_line([asdict(record)[name] for name in FIRST_COLUMNS])


def write_legacy(path: Path, records: Sequence[Correction]) -> Path:
    path.write_text(to_line(FIRST_COLUMNS) + "".join(map(legacy_line, records)))
    return path


def grid_log(path: Path) -> AnnotatorLog:
    found = AnnotatorLog(path)
    found.refresh()
    return found


def review_progress(path: Path, people: Sequence[str]) -> ReviewProgress:
    found = ReviewProgress(np.array(sorted(set(people)), object))
    found.refresh([path])
    return found


# -- four readers, one result -----------------------------------------------------------------------------------

FIELDS = ("mask", "gender", "age")


def latest_by_reader(path: Path, rows: list[Row]) -> dict[str, dict[tuple[str, str], str]]:
    """The latest annotation of each photo and field, from the log of one annotator, by each of the four readers."""
    corrections = read_corrections([path])
    keys = [(row, field) for row in rows for field in FIELDS]
    grid, history = grid_log(path), review_progress(path, [row["person_id"] for row in rows])
    found: dict[str, dict[tuple[str, str], str]] = {
        "grid": {(row["sample_id"], field): grid.latest_of(row, field) or "" for row, field in keys}
    }
    changes = {person: history.changes("ann", at) for at, person in enumerate(history.people)}
    found["review"] = {}
    for row, field in keys:
        of_person = changes[row["person_id"]]
        found["review"][row["sample_id"], field] = (
            of_person.get((row["sample_id"], field)) or of_person.get(("", field)) or str(row[field])
        )
    labels = annotated_labels(corrections)
    of_photo = {(one.sample_id, one.field): one for one in labels if one.scope == "sample"}
    of_owner = {(one.person_id, one.field): one for one in labels if one.scope == "person"}
    found["agreement"] = {}
    for row, field in keys:
        label = of_photo.get((row["sample_id"], field)) or of_owner.get((row["person_id"], field))
        annotation = label.annotations.get("ann") if label else None
        found["agreement"][row["sample_id"], field] = annotation.value if annotation else ""
    after, report = apply_corrections(manifest(rows), corrections, CUTS, seed=0)
    assert not report.counts["conflict"]
    found["apply"] = {(row["sample_id"], field): str(row[field]) for row in after.to_pylist() for field in FIELDS}
    return found


def assert_same(found: dict[str, dict[tuple[str, str], str]], rows: list[Row]) -> None:
    """All readers agree; those that return values of the manifest too are compared where there is no annotation."""
    given_ = {(row["sample_id"], field): str(row[field]) for row in rows for field in FIELDS}
    assert found["grid"] == found["agreement"]
    expected = {key: value or given_[key] for key, value in found["grid"].items()}
    assert found["apply"] == expected
    assert found["review"] == expected


PEOPLE = [photo(person, shot) for person in ("p", "q") for shot in ("normal", "mask1")]
VALUES = {"mask": ["worn", "none", "incorrect"], "gender": ["male", "female"], "age": ["25", "64", "33"]}

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(FIELDS), st.integers(0, 3), st.booleans(), st.integers(0, 2), st.integers(1, 28), st.booleans()
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS, is_legacy=st.booleans())
def test_all_readers_give_the_same_latest_annotations(
    tmp_path: Path, events: list[tuple[str, int, bool, int, int, bool]], is_legacy: bool
) -> None:
    """Events in any order of time; `old` is the manifest's value, as the pages write it."""
    records = []
    for number, (field, at, person, choice, day, withdraws) in enumerate(events):
        row = PEOPLE[at]
        scope = "person" if person and field != "mask" else "sample"
        new = "" if withdraws else VALUES[field][choice % len(VALUES[field])]
        records.append(event(row, field, str(row[field]), new, day=day, scope=scope, correction_id=f"event-{number}"))
    path = tmp_path / "ann.csv"
    path.unlink(missing_ok=True)
    if is_legacy:
        write_legacy(path, records)
    else:
        append_corrections(path, records)
    assert_same(latest_by_reader(path, PEOPLE), PEOPLE)


SAVES = st.lists(
    st.one_of(
        st.tuples(st.just("save"), st.lists(
            st.tuples(st.sampled_from(FIELDS), st.integers(0, 3), st.booleans(), st.integers(0, 2)),
            min_size=1, max_size=3,
        )),
        st.tuples(st.just("undo"), st.integers(0, 5)),
    ),
    max_size=8,
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=SAVES, cut=st.integers(0, 8))
def test_undoing_saves_gives_all_readers_what_held_before(
    tmp_path: Path, steps: list[tuple[str, Any]], cut: int
) -> None:
    """Saves and undos of any earlier save; a part of them as version 0.1 wrote it, then the log grows."""
    path = tmp_path / "ann.csv"
    path.unlink(missing_ok=True)
    own, made = AnnotatorLog(path), []
    for number, (step, what) in enumerate(steps):
        if number == cut and path.exists():
            to_legacy(path)
            own = grid_log(path)
        if step == "save":
            save_id = f"gsave{number:04d}"
            made.append(save_id)
            own.save(save_id, [of_choice(*choice) for choice in what])
        elif made:
            own.undo(made[what % len(made)])
    if path.exists():
        assert_same(latest_by_reader(path, PEOPLE), PEOPLE)
    states = [undo_and_compare(own, save) for save in reversed(made)]
    assert not states or states[-1] == [None] * len(states[-1])


def of_choice(field: str, at: int, person: bool, choice: int) -> Correction:
    row = PEOPLE[at]
    scope = "person" if person and field != "mask" else "sample"
    new = VALUES[field][choice % len(VALUES[field])]
    return Correction("faces@1#00000000", row["sample_id"], row["person_id"], scope, field, str(row[field]), new, "ann")


def undo_and_compare(own: AnnotatorLog, save: str) -> list[str | None]:
    own.undo(save)
    state = [own.latest_of(row, field) for row in PEOPLE for field in FIELDS]
    again = grid_log(own.path)
    assert state == [again.latest_of(row, field) for row in PEOPLE for field in FIELDS]
    return state


def to_legacy(path: Path) -> None:
    """Rewrite a log of the grid as version 0.1 would have written it: saves and undos named by the ids alone."""
    rows = read_corrections([path]).to_pylist()
    records = []
    for number, row in enumerate(rows):
        record = Correction(**{name: row[name] for name in COLUMNS})
        name = f"{record.undoes}-undo-{number}" if record.undoes else f"{record.save_id}-{number}"
        records.append(replace(record, correction_id=name, save_id="", undoes=""))
    write_legacy(path, records)


# -- events -----------------------------------------------------------------------------------------------------


def test_old_conventions_become_typed_events() -> None:
    record = event(photo("p"), "mask", "none", "worn")
    assert from_legacy(record) == record
    saved = from_legacy(replace(record, correction_id="g76db225fbafacdb7-2"))
    assert (saved.save_id, saved.undoes) == ("g76db225fbafacdb7", "")
    undone = from_legacy(replace(record, correction_id="g76db225fbafacdb7-undo-0"))
    assert (undone.save_id, undone.undoes) == ("g76db225fbafacdb7-undo", "g76db225fbafacdb7")
    assert from_legacy(replace(record, note="undo: 2416625c64a0d9fd")).undoes == "2416625c64a0d9fd"
    typed = replace(record, save_id="r1", note="undo: no convention any more")
    assert from_legacy(typed) == typed
    assert from_legacy(replace(record, note="undo: the mask slipped")).undoes == ""


def test_undo_of_one_event_and_of_a_save(tmp_path: Path) -> None:
    row, other = photo("p"), photo("q")
    path = tmp_path / "ann.csv"
    append_correction(path, event(row, "mask", "none", "incorrect", day=1, correction_id="single"))
    own = grid_log(path)
    own.save("gsave0001", [of_row(row, "mask", "worn"), of_row(other, "mask", "worn")])
    assert (own.latest_of(row, "mask"), own.latest_of(other, "mask")) == ("worn", "worn")
    assert own.undo("gsave0001") == 2
    assert (own.latest_of(row, "mask"), own.latest_of(other, "mask")) == ("incorrect", None)
    events = read_corrections([path]).to_pylist()
    assert [(one["undoes"], one["new"]) for one in events[3:]] == [("gsave0001", "incorrect"), ("gsave0001", "")]
    assert {one["note"] for one in events} == {""}
    [(key, _)] = list(own.history.saves())
    undo, changed = own.history.undo_records(key)
    assert (changed, [(one.undoes, one.new) for one in undo]) == (1, [("single", "")])
    append_corrections(path, undo)
    assert grid_log(path).latest_of(row, "mask") is None
    table = manifest([row, other])
    after, report = apply_corrections(table, read_corrections([path]), CUTS, seed=0)
    assert after.equals(table)
    assert not report.rows_changed


def of_row(row: Row, field: str, new: str, **values: str) -> Correction:
    made = {"scope": "sample", "annotator": "ann"} | values
    old = "false" if field == "exclude" else str(row[field])
    return Correction(
        "faces@1#00000000", row["sample_id"], row["person_id"], made["scope"], field, old, new, made["annotator"]
    )


def test_undo_of_an_exclusion_that_was_applied(tmp_path: Path) -> None:
    row, path = photo("p"), tmp_path / "ann.csv"
    own = AnnotatorLog(path)
    own.save("gsave0001", [of_row(row, "exclude", "true")])
    table = manifest([row])
    excluded, _ = apply_corrections(table, read_corrections([path]), CUTS, seed=0)
    assert excluded["excluded_by"].to_pylist() == ["ann"]
    own.undo("gsave0001")
    restored, report = apply_corrections(excluded, read_corrections([path]), CUTS, seed=0)
    assert restored.equals(table)
    assert counts(report) == {"superseded": 1, "applied": 1}


def test_annotators_who_exclude_different_photos_of_a_person_are_in_conflict(tmp_path: Path) -> None:
    rows = [photo("p", shot) for shot in ("normal", "mask1", "mask2")]
    path = tmp_path / "log.csv"
    for name, excluded in (("ann", 0), ("bob", 1)):
        append_corrections(
            path,
            [of_row(row, "exclude", str(at == excluded).lower(), annotator=name) for at, row in enumerate(rows)],
        )
    corrections = read_corrections([path])
    found = conflicts(annotated_labels(corrections), CUTS)
    assert {one.sample_id for one in found} == {rows[0]["sample_id"], rows[1]["sample_id"]}
    after, report = apply_corrections(manifest(rows), corrections, CUTS, seed=0)
    assert counts(report) == {"conflict": 4, "already": 2}
    assert after["status"].to_pylist() == ["ok"] * 3


def test_the_review_page_records_kept_photos_where_another_is_excluded(store: Store) -> None:
    write_people(store, 2)
    rows = load_manifest_rows(store, "people")
    for name, excluded in (("ann", 0), ("bob", 1)):
        session = start_session(store, rows, name, annotators_per_person=ALL_ANNOTATORS)
        press(session, edits={excluded: {"exclude": "true"}})
        press(session)
    records = [row for row in saved_records(store) if row["field"] == "exclude"]
    assert [(row["annotator"], row["new"]) for row in records] == [("ann", str(at == 0).lower()) for at in range(7)] + [
        ("bob", str(at == 1).lower()) for at in range(7)
    ], "nothing is recorded of a person without an exclusion"
    assert len({row["save_id"] for row in saved_records(store)}) == 4
    _, report = apply_to_store(store, "people", log_paths(store, rows.version))
    assert (report.counts["conflict"], report.rows_changed) == (4, 0)


def test_a_kept_photo_does_not_affect_its_synthetic_pictures(tmp_path: Path) -> None:
    rows, path = family(), tmp_path / "log.csv"
    append_corrections(path, [
        of_row(rows["masked"], "exclude", "true", annotator="bob"), of_row(rows["normal"], "exclude", "false"),
    ])  # fmt: skip
    after, report = apply_corrections(manifest(list(rows.values())), read_corrections([path]), CUTS, seed=0)
    assert counts(report) == {"applied": 1, "already": 1}
    status = dict(zip(rows, after["status"].to_pylist(), strict=True))
    assert {name for name, value in status.items() if value == "excluded"} == {"masked", "masked_crop"}


# -- the column of exclusions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        ("apply: excluded by ann", "ann"),
        ("apply: excluded by Bob Lee (was failed)", "Bob Lee"),
        ("detect: no face; apply: excluded by consensus:adjudicator cléo (was fallback)", "consensus:adjudicator cléo"),
        ("drop-ages: 58", None),
        (None, None),
    ],
)
def test_the_annotator_is_read_from_the_reason_of_old_versions(reason: str | None, name: str | None) -> None:
    rows = [photo("p", status="excluded", reason=reason), photo("q", reason=reason)]
    table = manifest(rows)
    assert exclusions.excluded_by(table).to_pylist() == [name, None]
    assert [exclusions.is_excluded_by_correction(row) for row in table.to_pylist()] == [bool(name), False]


def test_the_column_is_not_hashed(store: Store) -> None:
    """It repeats the reason; so an old log applied to an old version gives the version that 0.1 wrote."""
    table = manifest([photo("p"), photo("q")])
    at = table.schema.get_field_index("excluded_by")
    filled = table.set_column(at, "excluded_by", pa.array(["ann", None]))
    assert table_sha256(filled) == table_sha256(table) == table_sha256(table.drop_columns(["excluded_by"]))
    version = store.write("faces", filled, "ingest")
    found = store.read(version.ref).table
    assert found["excluded_by"].to_pylist() == ["ann", None]
    assert table_sha256(found) == version.content_hash


# -- files ------------------------------------------------------------------------------------------------------


def test_appending_to_an_old_log_adds_the_columns_and_loses_nothing(tmp_path: Path) -> None:
    row = photo("p")
    records = [event(row, "mask", "none", "worn", day=day, note='a, "b"\nc') for day in (1, 2)]
    path = write_legacy(tmp_path / "ann.csv", records)
    torn = legacy_line(records[0])[:40]
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n" + torn.encode())
    path.chmod(0o640)
    before = read_corrections([path])
    reader = LogReader(path)
    assert len(reader.read_new([])) == 2
    third = event(row, "mask", "none", "incorrect", day=3, save_id="gsave0001")
    append_correction(path, third)
    after = read_corrections([path])
    assert path.read_bytes().startswith(b"\xef\xbb\xbf" + ",".join(COLUMNS).encode())
    assert path.stat().st_mode & 0o777 == 0o640
    assert after.slice(0, 2).equals(before.slice(0, 2))
    assert [bool(problem) for problem in after["problem"].to_pylist()] == [False, False, True, False]
    assert after["save_id"].to_pylist()[-1] == "gsave0001"
    assert reader.has_restarted()
    assert len(LogReader(path).read_new([])) == 3
    append_correction(path, event(row, "mask", "none", "none", day=4))
    assert read_corrections([path]).num_rows == 5
    assert [entry.name for entry in tmp_path.iterdir() if not entry.name.startswith(".")] == ["ann.csv"]


def test_old_and_new_logs_of_the_same_events_count_once(tmp_path: Path) -> None:
    record = event(photo("p"), "mask", "none", "worn")
    old, new = write_legacy(tmp_path / "old.csv", [record]), tmp_path / "new.csv"
    append_correction(new, record)
    assert read_corrections([old, new]).num_rows == 1


@pytest.mark.parametrize("name", ADDED_COLUMNS)
def test_ids_of_saves_are_checked(tmp_path: Path, name: str) -> None:
    bad = replace(event(photo("p"), "mask", "none", "worn"), **{name: "two words"})
    assert f"{name} must be 1 to 120 characters without spaces" in problem_of(bad)
    with pytest.raises(CorrectionError, match=name):
        append_correction(tmp_path / "log.csv", bad)


IDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=20)


@st.composite
def corrections(draw: st.DrawFn) -> Correction:
    field = draw(st.sampled_from([*VALUES, "exclude", "unsure"]))
    choices = VALUES.get(field, ["true", "false"])
    scope = draw(st.sampled_from(["sample"] if field == "mask" else ["sample", "person"]))
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    return Correction(
        manifest="faces@2#9f86d081",
        sample_id=draw(text) + "s", person_id=draw(text) + "p", scope=scope, field=field,
        old=draw(st.sampled_from(choices)), new=draw(st.sampled_from(choices)),
        annotator="ann " + draw(st.sampled_from("xyz")),
        note=draw(text), image_sha256=draw(st.sampled_from(["", "a" * 64])), correction_id=draw(IDS),
        time=draw(st.datetimes()).isoformat() + "Z", save_id=draw(IDS), undoes=draw(st.one_of(st.just(""), IDS)),
    )  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(corrections(), max_size=5, unique_by=lambda record: record.correction_id))
def test_events_are_read_as_they_were_written(tmp_path: Path, records: list[Correction]) -> None:
    path = tmp_path / "log.csv"
    path.unlink(missing_ok=True)
    append_corrections(path, records)
    rows = read_corrections([path]).to_pylist()
    assert [Correction(**{name: row[name] for name in COLUMNS}) for row in rows] == records
    assert [record for _, record in LogReader(path).read_new([])] == records
