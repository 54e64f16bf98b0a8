"""A review session without a browser: the order of people, what a message saves, undo and navigation."""

from __future__ import annotations

import shutil

import pytest

from curation_app.annotations import log_paths
from curation_app.images.manifest_rows import ManifestRows, load_manifest_rows
from curation_app.review.order import Queue, order_of
from data_manifests.corrections.apply import apply_corrections
from data_manifests.corrections.log import read_corrections
from data_manifests.errors import ManifestError
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions.store import Store
from tests.support.app_server import write_people
from tests.support.manifest_tables import crop, manifest, photo
from tests.support.review_sessions import current, edit_all_shots, press, saved_records, start_session


@pytest.fixture
def rows(store: Store) -> ManifestRows:
    write_people(store, 6, {"p004": {"audit_rank": 1}, "p001": {"audit_rank": 2}})
    return load_manifest_rows(store, "people")


# -- queues --------------------------------------------------------------------------------------------------------
def test_orders_of_people(rows: ManifestRows) -> None:
    def ids(queue: Queue) -> str:
        return " ".join(name[-1] for name in rows.people[order_of(rows, queue)])

    assert ids(Queue("suspicion")) == "4 1 0 2 3 5"
    assert ids(Queue("unseen")) == "4 1 0 2 3 5"
    assert ids(Queue("id", "p0021")) == "3 4 5"
    assert ids(Queue("id")) == "0 1 2 3 4 5"
    assert ids(Queue("person", "p003")) == "3"
    assert ids(Queue("class", "class:4")) == "4 1"  # worn, female, middle: of both women of 40, the suspect first
    assert ids(Queue("class", "class:3")) == ""


def test_unknown_person_or_order_is_refused(rows: ManifestRows) -> None:
    with pytest.raises(ManifestError, match="'p0' has no photo in people@1"):
        order_of(rows, Queue("person", "p0"))
    with pytest.raises(ManifestError, match="must be one of"):
        order_of(rows, Queue("fate"))


# -- one key settles a person --------------------------------------------------------------------------------------
def test_accept_records_every_label(store: Store, rows: ManifestRows) -> None:
    session = press(start_session(store, rows))
    assert current(session) == "p001"
    found = saved_records(store)
    assert [(one["scope"], one["field"], one["old"] == one["new"]) for one in found] == [
        *[("sample", "mask", True)] * 7,
        ("person", "gender", True), ("person", "age", True), ("person", "unsure", True),
    ]  # fmt: skip
    assert {one["person_id"] for one in found} == {"p004"}
    assert {one["image_sha256"] for one in found[:7]} == {row["sha256"] for row in rows.records(rows.rows_of(4))}
    assert {one["manifest"] for one in found} == {rows.version.pinned}


def test_changes_are_applied(store: Store, rows: ManifestRows) -> None:
    session = start_session(store, rows)
    press(
        session,
        edits=edit_all_shots(gender="male", age="63")
        | {2: {"gender": "male", "age": "63", "mask": "incorrect", "exclude": "true"}},
    )
    table, report = apply_corrections(
        store.read("people").table, read_corrections(log_paths(store, rows.version)), rows.cuts, seed=0
    )
    assert report.counts["conflict"] == report.counts["unplaced"] == 0
    person = [row for row in table.to_pylist() if row["person_id"] == "p004"]
    assert {(row["gender"], row["age"]) for row in person} == {("male", 63)}
    changed = next(row for row in person if row["shot"] == "mask2")
    assert (changed["mask"], changed["status"]) == ("incorrect", "excluded")
    assert sum(row["status"] == "excluded" for row in person) == 1


def test_labels_that_differ_between_photos_are_recorded_per_photo(store: Store) -> None:
    write_people(store, 1, {"p000/mask1": {"gender": "female"}})
    session = start_session(store, load_manifest_rows(store, "people"))
    press(session, edits=edit_all_shots(gender="male"))
    said = [(one["scope"], one["old"], one["new"]) for one in saved_records(store) if one["field"] == "gender"]
    assert sorted(said) == [("sample", "female", "male")] + [("sample", "male", "male")] * 6


def test_unsure_records_only_changes(store: Store, rows: ManifestRows) -> None:
    session = press(start_session(store, rows), "unsure", {1: {"mask": "none"}}, note="too dark")
    assert [(one["field"], one["new"], one["note"]) for one in saved_records(store)] == [
        ("mask", "none", "too dark"), ("unsure", "true", "too dark"),
    ]  # fmt: skip
    assert current(session) == "p001"
    press(session, "previous")
    assert session.view()["people"]["p004"]["marks"].endswith("unsure")


def test_photo_that_is_not_shown_is_not_accepted(store: Store, rows: ManifestRows) -> None:
    press(start_session(store, rows), edits={0: {"seen": False}, 1: {"seen": False}})  # type: ignore[dict-item]
    assert sum(one["field"] == "mask" for one in saved_records(store)) == 5
    assert {one["scope"] for one in saved_records(store) if one["field"] == "gender"} == {"sample"}


def test_nothing_is_accepted_without_a_picture(store: Store, rows: ManifestRows) -> None:
    session = press(start_session(store, rows), edits=edit_all_shots(seen=""))
    assert "No picture" in session.error
    assert (current(session), saved_records(store)) == ("p004", [])


def test_photos_without_a_label_are_accepted(store: Store) -> None:
    write_people(store, 1, {"p000": {"gender": None, "age": None, "mask": None}})
    session = press(start_session(store, load_manifest_rows(store, "people")))
    assert [(one["field"], one["new"]) for one in saved_records(store)] == [("unsure", "false")]
    assert current(session) is None


def test_age_class_without_an_age(store: Store) -> None:
    photos = [photo("p0", age=None)]
    table = manifest(photos)
    table = table.set_column(table.column_names.index("age_class"), "age_class", [[1]])
    store.write("people", table.cast(manifest(photos).schema), "ingest")
    press(start_session(store, load_manifest_rows(store, "people")))
    assert [(one["old"], one["new"]) for one in saved_records(store) if one["field"] == "age"] == [
        ("class:1", "class:1")
    ]


# -- what is saved is what was on the screen -----------------------------------------------------------------------
def test_pictures_of_another_version_are_refused(store: Store, rows: ManifestRows) -> None:
    session = press(start_session(store, rows), edits={3: {"sha256": "0" * 64}})
    assert "not those of this version" in session.error
    assert (current(session), saved_records(store)) == ("p004", [])


def test_unassigned_person_is_refused(store: Store, rows: ManifestRows) -> None:
    session = press(start_session(store, rows), person="p005")
    assert "not assigned" in session.error
    assert saved_records(store) == []


def test_repeated_message_counts_once(store: Store, rows: ManifestRows) -> None:
    session = press(start_session(store, rows), seq=1)
    press(session, seq=1)
    press(session, session="another page")
    assert (current(session), len(saved_records(store))) == ("p001", 10)


def test_late_edit_refers_to_the_person_on_the_screen(store: Store, rows: ManifestRows) -> None:
    session = start_session(store, rows)
    person = session.view()["people"]["p004"]
    press(session)
    shots = [{**shot["file"], **shot["labels"], "seen": True, "gender": "male"} for shot in person["shots"]]
    press(session, person="p004", shots=shots)
    assert current(session) == "p001"
    assert [one["new"] for one in saved_records(store) if one["field"] == "gender"] == ["female", "male"]


def test_person_stays_if_the_log_cannot_be_written(store: Store, rows: ManifestRows) -> None:
    session = start_session(store, rows)
    shutil.rmtree(store.workspace / "corrections")
    (store.workspace / "corrections").write_text("a file where the folder should be")
    press(session)
    assert "Nothing was saved" in session.error
    assert current(session) == "p004"


def test_visitor_without_a_name_cannot_write(store: Store, rows: ManifestRows) -> None:
    visitor = press(start_session(store, rows, annotator=""))
    assert "name" in visitor.error
    assert current(press(visitor, "next")) == "p001"
    assert current(start_session(store, rows, "kim")) == "p004"  # a visitor keeps nobody from work


# -- undo ----------------------------------------------------------------------------------------------------------
def test_undo_adds_a_record_and_returns_to_the_person(store: Store, rows: ManifestRows) -> None:
    session = press(start_session(store, rows), edits=edit_all_shots(gender="male"))
    before = saved_records(store)
    press(session, "undo")
    after = saved_records(store)
    assert after[: len(before)] == before
    assert {one["new"] for one in after[len(before) :]} == {""}
    view = session.view()
    assert (view["current"], view["prefetched"][0]) == ("p004", "p001")
    assert {shot["labels"]["gender"] for shot in view["people"]["p004"]["shots"]} == {"female"}
    table, report = apply_corrections(
        store.read("people").table, read_corrections(log_paths(store, rows.version)), rows.cuts, seed=0
    )
    assert table.equals(store.read("people").table)
    assert report.counts["conflict"] == 0
    assert "Nothing left" in press(session, "undo").error


def test_undo_restores_the_earlier_label(store: Store, rows: ManifestRows) -> None:
    session = press(
        start_session(store, rows), edits=edit_all_shots(gender="male") | {0: {"gender": "male", "exclude": "true"}}
    )
    press(session, "previous")
    press(session, edits=edit_all_shots(gender="female", exclude="false"))
    press(session, "undo")
    shots = session.view()["people"]["p004"]["shots"]
    assert {shot["labels"]["gender"] for shot in shots} == {"male"}
    assert [shot["labels"]["exclude"] for shot in shots] == ["true"] + ["false"] * 6
    assert "seen by you" in session.view()["people"]["p004"]["marks"]


def test_undo_survives_a_restart(store: Store, rows: ManifestRows) -> None:
    press(press(start_session(store, rows)))
    again = start_session(store, rows)
    assert current(again) == "p000"
    assert current(press(again, "undo")) == "p001"
    assert current(press(again, "undo")) == "p004"
    assert again.context.progress.review_counts.sum() == 0


# -- going on, going back ------------------------------------------------------------------------------------------
def test_restart_resumes(store: Store, rows: ManifestRows) -> None:
    press(press(start_session(store, rows)))
    again = start_session(store, rows)
    assert current(again) == "p000"
    assert current(press(again, "previous")) == "p001"
    assert current(press(again, "next")) == "p000"
    assert again.view()["progress"] == "2 of 6 seen · 2 today"


def test_skipped_person_comes_last(store: Store, rows: ManifestRows) -> None:
    session = press(start_session(store, rows), "next")
    seen = [current(session)]
    while (name := current(press(session))) and len(seen) < 9:
        seen.append(name)
    assert [str(name)[-1] for name in seen] == ["1", "0", "2", "3", "5", "4"]
    assert session.view()["empty"]


def test_first_person_has_no_previous_one(store: Store, rows: ManifestRows) -> None:
    assert "No previous person" in press(start_session(store, rows), "previous").error


def test_seen_person_can_be_opened_again(store: Store, rows: ManifestRows) -> None:
    press(start_session(store, rows))
    session = start_session(store, rows, queue=Queue("person", "p004"))
    assert current(session) == "p004"
    assert current(press(session)) is None


def test_correction_of_a_crop_reaches_its_photo(store: Store) -> None:
    first = photo("p0")
    store.write("people", manifest([first]), "ingest")
    store.write("people", manifest([crop(first)]), "crop", parents=[store.version("people@1")])
    press(start_session(store, load_manifest_rows(store, "people@2")), edits={0: {"gender": "female"}})
    table, _ = apply_corrections(
        store.read("people@1").table, read_corrections(log_paths(store, store.version("people"))), AgeCuts(), seed=0,
        origins=store.read("people@2").table,
    )  # fmt: skip
    assert table["gender"].to_pylist() == ["female"]
