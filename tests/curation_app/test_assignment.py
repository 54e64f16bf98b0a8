"""Assignment of people to several annotators."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curation_app.annotations import log_paths
from curation_app.images.manifest_rows import ManifestRows, load_manifest_rows
from curation_app.review.leases import (
    ALL_ANNOTATORS,
    LEASE_S,
    read_annotators_per_person,
    write_annotators_per_person,
)
from curation_app.review.order import Queue
from data_manifests.versions.store import Store
from tests.support.app_server import ROOT, write_people
from tests.support.review_sessions import current, press, saved_records, start_session


@pytest.fixture
def rows(store: Store) -> ManifestRows:
    write_people(store, 6, {"p004": {"audit_rank": 1}, "p001": {"audit_rank": 2}})
    return load_manifest_rows(store, "people")


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_people_are_assigned_once(store: Store, rows: ManifestRows) -> None:
    kim, lee = (start_session(store, rows, name) for name in ("kim", "lee"))
    assert current(kim) == "p004"
    assert current(lee) is None  # six people, all held by kim: a small set
    assert "6 are assigned to other annotators" in lee.view()["empty"]
    kim.leave()
    assert current(press(lee, "next")) == "p004"
    lee.leave()
    assert current(start_session(store, rows, "lee")) == "p004"


def test_lease_expires(store: Store, rows: ManifestRows) -> None:
    clock = Clock()
    kim = start_session(store, rows, "kim", clock=clock)
    clock.now_s = LEASE_S - 1
    press(kim)  # at work: the rest stays kim's
    clock.now_s = LEASE_S + 1
    assert current(start_session(store, rows, "lee", clock=clock)) is None
    clock.now_s = 3 * LEASE_S
    lee = start_session(store, rows, "lee", clock=clock)
    assert current(lee) == "p001"  # p004 is done


_SERVER = """
import sys, time
from curation_app.images.manifest_rows import load_manifest_rows
from curation_app.review.order import Queue
from curation_app.review.context import open_review_context
from curation_app.review.session import ReviewSession
from data_manifests.versions.store import Store
from tests.support.review_sessions import press
workspace, annotator = sys.argv[1:]
store = Store(workspace)
session = ReviewSession(open_review_context(store, load_manifest_rows(store, "people")), annotator, Queue(), 1)
while (store.workspace / "wait").exists():
    time.sleep(0.001)
while session.current is not None:
    press(session)
"""


@pytest.mark.slow
def test_two_servers_assign_no_person_twice(store: Store) -> None:
    """Run two processes at the same time that share nothing but the disk."""
    write_people(store, 60)
    (store.workspace / "wait").touch()
    servers = [
        subprocess.Popen([sys.executable, "-c", _SERVER, str(store.workspace), name], cwd=ROOT, stderr=subprocess.PIPE)
        for name in ("kim", "lee")
    ]
    held = store.workspace / "corrections/people/.held.sqlite"
    end = time.monotonic() + 120
    while _holders(held) < 2 and time.monotonic() < end and all(server.poll() is None for server in servers):
        time.sleep(0.05)
    (store.workspace / "wait").unlink()
    for server in servers:
        _, errors = server.communicate(timeout=120)
        assert server.returncode == 0, errors.decode()
    marks = [one for one in saved_records(store) if one["field"] == "unsure"]
    assert sorted(one["person_id"] for one in marks) == [f"p{number:03d}" for number in range(60)]
    assert {one["annotator"] for one in marks} == {"kim", "lee"}


def _holders(held: Path) -> int:
    try:
        with sqlite3.connect(held) as connection:
            return int(connection.execute("SELECT count(DISTINCT annotator) FROM held").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def test_visitor_needs_no_leases(store: Store, rows: ManifestRows) -> None:
    start_session(store, rows, annotator="")
    assert not (store.workspace / "corrections").exists()


@pytest.mark.parametrize(("annotators_per_person", "expected"), [(1, 6), (2, 12), (ALL_ANNOTATORS, 18)])
def test_each_person_is_seen_by_the_number_set(
    store: Store, rows: ManifestRows, annotators_per_person: int, expected: int
) -> None:
    sessions = [
        start_session(store, rows, name, annotators_per_person=annotators_per_person) for name in ("kim", "lee", "cho")
    ]
    for _ in range(7):
        for session in sessions:
            session._advance() if session.current is None else press(session)
    marks = [one for one in saved_records(store) if one["field"] == "unsure"]
    assert len(marks) == len({(one["annotator"], one["person_id"]) for one in marks}) == expected
    assert [path.name for path in log_paths(store, rows.version)] == sorted(
        {f"{one['annotator']}.csv" for one in marks}
    )


def test_queue_of_unseen_people(store: Store, rows: ManifestRows) -> None:
    press(start_session(store, rows, "kim", annotators_per_person=ALL_ANNOTATORS)).leave()
    assert current(start_session(store, rows, "lee", annotators_per_person=ALL_ANNOTATORS)) == "p004"
    assert current(start_session(store, rows, "lee", Queue("unseen"), annotators_per_person=ALL_ANNOTATORS)) == "p001"


def test_annotators_per_person_is_stored(tmp_path: Path) -> None:
    assert read_annotators_per_person(tmp_path) == 1
    (tmp_path / "desk.json").write_text('{"looks": 2}')  # as written by older versions
    assert read_annotators_per_person(tmp_path) == 2
    (tmp_path / "desk.json").unlink()
    write_annotators_per_person(tmp_path, 3)
    assert read_annotators_per_person(tmp_path) == 3
    (tmp_path / "review.json").write_text("not json")
    assert read_annotators_per_person(tmp_path) == 1
