"""The progress of a review, read from the logs."""

from __future__ import annotations

import json
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation_app.annotations import correction, log_path
from curation_app.annotations.review_progress import ReviewProgress
from curation_app.images.manifest_rows import ManifestRows, load_manifest_rows
from curation_app.review.leases import (
    ALL_ANNOTATORS,
)
from data_manifests.corrections.log import append_corrections
from data_manifests.versions.store import Store
from tests.support.app_server import write_people
from tests.support.manifest_tables import manifest, photo
from tests.support.review_sessions import current, press, start_session


@pytest.fixture
def rows(store: Store) -> ManifestRows:
    write_people(store, 6, {"p004": {"audit_rank": 1}, "p001": {"audit_rank": 2}})
    return load_manifest_rows(store, "people")


def test_records_added_by_others_are_read(store: Store, rows: ManifestRows) -> None:
    own = start_session(store, rows, "kim", annotators_per_person=ALL_ANNOTATORS)
    press(start_session(store, rows, "lee", annotators_per_person=ALL_ANNOTATORS))
    assert own.context.progress.review_counts.sum() == 0
    own.refresh()
    assert own.context.progress.review_counts[4] == 1
    log_path(store, rows.version, "lee").unlink()  # put away: the word goes with it
    own.refresh()
    assert own.context.progress.review_counts.sum() == 0


def test_broken_line_is_reported_and_the_rest_counts(store: Store, rows: ManifestRows) -> None:
    press(start_session(store, rows))
    path = log_path(store, rows.version, "kim")
    with path.open("a") as file:
        file.write("torn,line\n")
    (path.parent / "notes.csv").write_text("what,ever\n1,2\n")
    session = press(start_session(store, rows))
    assert (
        session.context.progress.problems[0]
        == "kim.csv line 12: must have 14 cells, as the first line has. Got 2 instead."
    )
    assert "notes.csv" in session.context.progress.problems[1]
    assert len(session.context.progress.problems) == 2
    assert session.context.progress.review_counts.sum() == 2


def test_incomplete_line_is_read_when_complete(store: Store, rows: ManifestRows) -> None:
    session = press(start_session(store, rows))
    path = log_path(store, rows.version, "kim")
    whole = path.read_bytes()
    progress = ReviewProgress(np.asarray(rows.people))
    path.write_bytes(whole[:-30])
    progress.refresh([path])
    assert (progress.review_counts.sum(), progress.problems) == (0, [])
    path.write_bytes(whole)
    progress.refresh([path])
    assert (progress.review_counts.sum(), progress.problems) == (1, [])
    assert session.context.progress.last_save("kim") == progress.last_save("kim")


def test_grid_correction_does_not_mark_the_person_as_seen(store: Store, rows: ManifestRows) -> None:
    row = rows.records(rows.rows_of(4))[0]
    append_corrections(log_path(store, rows.version, "kim"), [correction(rows.version, row, "mask", "worn", "kim")])
    session = start_session(store, rows)
    assert current(session) == "p004"
    assert session.view()["people"]["p004"]["shots"][0]["labels"]["mask"] == "worn"  # but it is shown
    assert session.context.progress.last_save("kim") is None


def test_people_seen_are_counted_by_day(store: Store, rows: ManifestRows) -> None:
    session = press(start_session(store, rows))
    assert session.context.progress.seen_on("kim", date.today()) == 1
    assert session.context.progress.seen_on("kim", date.today() - timedelta(1)) == 0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["accept", "unsure", "undo", "previous", "next", "edit"]), max_size=25))
def test_restarted_session_has_the_same_progress(tmp_path_factory: pytest.TempPathFactory, acts: list[str]) -> None:
    store = Store(tmp_path_factory.mktemp("w"))
    photos = [photo(f"p{i}", shot) for i in range(3) for shot in ("normal", "mask1")]
    store.write("people", manifest(photos), "ingest")
    rows = load_manifest_rows(store, "people")
    session = start_session(store, rows)
    for act in acts:
        if current(session) is None and act in ("accept", "unsure", "edit"):
            continue
        if act == "edit":
            press(session, edits={0: {"gender": "female"}, 1: {"gender": "female", "mask": "none"}})
        else:
            press(session, act)
    old, new = session.context.progress, start_session(store, rows).context.progress
    assert (old.seen_by("kim") == new.seen_by("kim")).all()
    assert (old.review_counts == new.review_counts).all()
    assert old.last_save("kim") == new.last_save("kim")
    assert all(old.changes("kim", person) == new.changes("kim", person) for person in range(3))


def test_view_is_json(store: Store, rows: ManifestRows) -> None:
    view = start_session(store, rows).view()
    assert json.loads(json.dumps(view)) == view
    assert view["pictures"]["p004"][0]["image"].startswith("data:image/jpeg;base64,")
