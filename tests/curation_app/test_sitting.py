"""The review page's logic without a browser: who comes next, what a message writes, what undo takes back."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation_app.annotations import log
from curation_app.annotations.review_progress import Progress
from curation_app.images.manifest_rows import Faces, load_faces
from curation_app.review.leases import EVERYBODY, LEASE_S, Deals, read_looks, write_looks
from curation_app.review.order import Queue, order_of
from curation_app.review.session import Sitting, new_table
from data_manifests.corrections.apply import apply_corrections
from data_manifests.corrections.record import append_corrections, read_corrections
from data_manifests.errors import ManifestError
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions.store import Store
from tests.support.app_server import ROOT, write_people
from tests.support.manifest_tables import crop, manifest, photo

SUSPECTS = Queue()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def faces(store: Store) -> Faces:
    write_people(store, 6, {"p004": {"audit_rank": 1}, "p001": {"audit_rank": 2}})
    return load_faces(store, "people")


def sit(
    store: Store,
    faces: Faces,
    annotator: str = "kim",
    queue: Queue = SUSPECTS,
    looks: int = 1,
    clock: Callable[[], float] = time.time,
) -> Sitting:
    deals = Deals(log.folder(store, faces.version), clock)
    return Sitting(replace(new_table(store, faces), deals=deals), annotator, queue, looks)


def press(at: Sitting, act: str = "settle", edits: dict[int, dict[str, str]] | None = None, **message: Any) -> Sitting:
    """A message as the browser makes it: the shots as they stand on the screen, with edits by place."""
    view = at.view()
    person = view["people"].get(view["now"], {"shots": []})
    shots = [{**shot["file"], **shot["labels"], "seen": True} for shot in person["shots"]]
    for place, edit in (edits or {}).items():
        shots[place] |= edit
    usual = {"act": act, "seq": at.seq + 1, "sitting": at.name, "person": view["now"], "note": ""}
    at.act(usual | {"shots": shots, "have": []} | message)
    return at


def all_shots(**edit: str) -> dict[int, dict[str, str]]:
    return dict.fromkeys(range(7), edit)


def written(store: Store) -> list[dict[str, Any]]:
    return read_corrections(sorted(store.workspace.glob("corrections/people/*.csv"))).to_pylist()


def now(sitting: Sitting) -> str | None:
    return sitting.view()["now"]


# -- queues -----------------------------------------------------------------------------------------------------
def test_orders(faces: Faces) -> None:
    def ids(queue: Queue) -> str:
        return " ".join(name[-1] for name in faces.people[order_of(faces, queue)])

    assert ids(Queue("suspicion")) == "4 1 0 2 3 5"
    assert ids(Queue("unseen")) == "4 1 0 2 3 5"
    assert ids(Queue("id", "p0021")) == "3 4 5"
    assert ids(Queue("id")) == "0 1 2 3 4 5"
    assert ids(Queue("person", "p003")) == "3"
    assert ids(Queue("class", "4")) == "4 1"  # worn, female, middle: of both women of 40, the suspect first
    assert ids(Queue("class", "3")) == ""


def test_a_person_who_is_not_there_is_told(faces: Faces) -> None:
    with pytest.raises(ManifestError, match="'p0' has no photo in people@1"):
        order_of(faces, Queue("person", "p0"))
    with pytest.raises(ManifestError, match="must be one of"):
        order_of(faces, Queue("fate"))


# -- one key settles a person -----------------------------------------------------------------------------------
def test_accepting_is_a_word_on_every_label(store: Store, faces: Faces) -> None:
    sitting = press(sit(store, faces))
    assert now(sitting) == "p001"
    found = written(store)
    assert [(one["scope"], one["field"], one["old"] == one["new"]) for one in found] == [
        *[("sample", "mask", True)] * 7,
        ("person", "gender", True), ("person", "age", True), ("person", "unsure", True),
    ]  # fmt: skip
    assert {one["person_id"] for one in found} == {"p004"}
    assert {one["image_sha256"] for one in found[:7]} == {row["sha256"] for row in faces.records(faces.rows_of(4))}
    assert {one["manifest"] for one in found} == {faces.version.pinned}


def test_what_was_changed_is_applied(store: Store, faces: Faces) -> None:
    sitting = sit(store, faces)
    press(
        sitting,
        edits=all_shots(gender="male", age="63")
        | {2: {"gender": "male", "age": "63", "mask": "incorrect", "exclude": "true"}},
    )
    table, report = apply_corrections(
        store.read("people").table, read_corrections(log.paths(store, faces.version)), faces.cuts, seed=0
    )
    assert report.counts["conflict"] == report.counts["unplaced"] == 0
    person = [row for row in table.to_pylist() if row["person_id"] == "p004"]
    assert {(row["gender"], row["age"]) for row in person} == {("male", 63)}
    changed = next(row for row in person if row["shot"] == "mask2")
    assert (changed["mask"], changed["status"]) == ("incorrect", "excluded")
    assert sum(row["status"] == "excluded" for row in person) == 1


def test_labels_that_differ_between_photos_are_said_photo_by_photo(store: Store) -> None:
    write_people(store, 1, {"p000/mask1": {"gender": "female"}})
    sitting = sit(store, load_faces(store, "people"))
    press(sitting, edits=all_shots(gender="male"))
    said = [(one["scope"], one["old"], one["new"]) for one in written(store) if one["field"] == "gender"]
    assert sorted(said) == [("sample", "female", "male")] + [("sample", "male", "male")] * 6


def test_unsure_says_what_was_changed_and_agrees_with_nothing(store: Store, faces: Faces) -> None:
    sitting = press(sit(store, faces), "unsure", {1: {"mask": "none"}}, note="too dark")
    assert [(one["field"], one["new"], one["note"]) for one in written(store)] == [
        ("mask", "none", "too dark"), ("unsure", "true", "too dark"),
    ]  # fmt: skip
    assert now(sitting) == "p001"
    press(sitting, "back")
    assert sitting.view()["people"]["p004"]["place"].endswith("unsure")


def test_a_photo_that_could_not_be_seen_is_not_accepted(store: Store, faces: Faces) -> None:
    press(sit(store, faces), edits={0: {"seen": False}, 1: {"seen": False}})  # type: ignore[dict-item]
    assert sum(one["field"] == "mask" for one in written(store)) == 5
    assert {one["scope"] for one in written(store) if one["field"] == "gender"} == {"sample"}


def test_nobody_seen_nothing_accepted(store: Store, faces: Faces) -> None:
    sitting = press(sit(store, faces), edits=all_shots(seen=""))
    assert "no picture" in sitting.error
    assert (now(sitting), written(store)) == ("p004", [])


def test_photos_without_a_label_are_settled_too(store: Store) -> None:
    write_people(store, 1, {"p000": {"gender": None, "age": None, "mask": None}})
    sitting = press(sit(store, load_faces(store, "people")))
    assert [(one["field"], one["new"]) for one in written(store)] == [("unsure", "false")]
    assert now(sitting) is None


def test_an_age_class_without_an_age(store: Store) -> None:
    rows = [photo("p0", age=None)]
    table = manifest(rows)
    table = table.set_column(table.column_names.index("age_class"), "age_class", [[1]])
    store.write("people", table.cast(manifest(rows).schema), "ingest")
    press(sit(store, load_faces(store, "people")))
    assert [(one["old"], one["new"]) for one in written(store) if one["field"] == "age"] == [("class:1", "class:1")]


# -- what is saved is what was on the screen -----------------------------------------------------------------------
def test_other_pictures_than_the_versions_are_refused(store: Store, faces: Faces) -> None:
    sitting = press(sit(store, faces), edits={3: {"sha256": "0" * 64}})
    assert "not those of this version" in sitting.error
    assert (now(sitting), written(store)) == ("p004", [])


def test_a_person_who_was_not_dealt_is_refused(store: Store, faces: Faces) -> None:
    sitting = press(sit(store, faces), person="p005")
    assert "not dealt" in sitting.error
    assert written(store) == []


def test_the_same_message_counts_once(store: Store, faces: Faces) -> None:
    sitting = press(sit(store, faces), seq=1)
    press(sitting, seq=1)
    press(sitting, sitting="another page")
    assert (now(sitting), len(written(store))) == ("p001", 10)


def test_a_key_after_accepting_is_about_the_person_who_was_on_the_screen(store: Store, faces: Faces) -> None:
    sitting = sit(store, faces)
    person = sitting.view()["people"]["p004"]
    press(sitting)
    shots = [{**shot["file"], **shot["labels"], "seen": True, "gender": "male"} for shot in person["shots"]]
    press(sitting, person="p004", shots=shots)
    assert now(sitting) == "p001"
    assert [one["new"] for one in written(store) if one["field"] == "gender"] == ["female", "male"]


def test_a_log_that_cannot_be_written_keeps_the_person(store: Store, faces: Faces) -> None:
    sitting = sit(store, faces)
    shutil.rmtree(store.workspace / "corrections")
    (store.workspace / "corrections").write_text("a file where the folder should be")
    press(sitting)
    assert "nothing was saved" in sitting.error
    assert now(sitting) == "p004"


def test_who_has_no_name_only_looks(store: Store, faces: Faces) -> None:
    visitor = press(sit(store, faces, annotator=""))
    assert "name" in visitor.error
    assert now(press(visitor, "next")) == "p001"
    assert now(sit(store, faces, "kim")) == "p004"  # a visitor keeps nobody from work


# -- undo ---------------------------------------------------------------------------------------------------------
def test_undo_is_another_record_and_goes_back(store: Store, faces: Faces) -> None:
    sitting = press(sit(store, faces), edits=all_shots(gender="male"))
    before = written(store)
    press(sitting, "undo")
    after = written(store)
    assert after[: len(before)] == before
    assert {one["new"] for one in after[len(before) :]} == {""}
    view = sitting.view()
    assert (view["now"], view["ahead"][0]) == ("p004", "p001")
    assert {shot["labels"]["gender"] for shot in view["people"]["p004"]["shots"]} == {"female"}
    table, report = apply_corrections(
        store.read("people").table, read_corrections(log.paths(store, faces.version)), faces.cuts, seed=0
    )
    assert table.equals(store.read("people").table)
    assert report.counts["conflict"] == 0
    assert "nothing left" in press(sitting, "undo").error


def test_undo_gives_back_the_earlier_word(store: Store, faces: Faces) -> None:
    sitting = press(sit(store, faces), edits=all_shots(gender="male") | {0: {"gender": "male", "exclude": "true"}})
    press(sitting, "back")
    press(sitting, edits=all_shots(gender="female", exclude="false"))
    press(sitting, "undo")
    shots = sitting.view()["people"]["p004"]["shots"]
    assert {shot["labels"]["gender"] for shot in shots} == {"male"}
    assert [shot["labels"]["exclude"] for shot in shots] == ["true"] + ["false"] * 6
    assert "seen by you" in sitting.view()["people"]["p004"]["place"]


def test_undo_survives_the_server(store: Store, faces: Faces) -> None:
    press(press(sit(store, faces)))
    again = sit(store, faces)
    assert now(again) == "p000"
    assert now(press(again, "undo")) == "p001"
    assert now(press(again, "undo")) == "p004"
    assert again.table.progress.looks.sum() == 0


# -- going on, going back -------------------------------------------------------------------------------------------
def test_next_start_resumes(store: Store, faces: Faces) -> None:
    press(press(sit(store, faces)))
    again = sit(store, faces)
    assert now(again) == "p000"
    assert now(press(again, "back")) == "p001"
    assert now(press(again, "next")) == "p000"
    assert again.view()["progress"] == "2 of 6 seen · 2 today"


def test_who_was_passed_over_comes_at_the_end(store: Store, faces: Faces) -> None:
    sitting = press(sit(store, faces), "next")
    seen = [now(sitting)]
    while (name := now(press(sitting))) and len(seen) < 9:
        seen.append(name)
    assert [name[-1] for name in seen] == ["1", "0", "2", "3", "5", "4"]
    assert sitting.view()["idle"]


def test_there_is_nobody_before_the_first(store: Store, faces: Faces) -> None:
    assert "nobody before" in press(sit(store, faces), "back").error


def test_one_person_can_be_looked_at_again(store: Store, faces: Faces) -> None:
    press(sit(store, faces))
    sitting = sit(store, faces, queue=Queue("person", "p004"))
    assert now(sitting) == "p004"
    assert now(press(sitting)) is None


def test_crops_of_a_photo_reach_it(store: Store) -> None:
    first = photo("p0")
    store.write("people", manifest([first]), "ingest")
    store.write("people", manifest([crop(first)]), "crop", parents=[store.version("people@1")])
    press(sit(store, load_faces(store, "people@2")), edits={0: {"gender": "female"}})
    table, _ = apply_corrections(
        store.read("people@1").table, read_corrections(log.paths(store, store.version("people"))), AgeCuts(), seed=0,
        origins=store.read("people@2").table,
    )  # fmt: skip
    assert table["gender"].to_pylist() == ["female"]


# -- several annotators -----------------------------------------------------------------------------------------------
def test_people_are_dealt_once(store: Store, faces: Faces) -> None:
    kim, lee = (sit(store, faces, name) for name in ("kim", "lee"))
    assert now(kim) == "p004"
    assert now(lee) is None  # six people, all held by kim: a small set
    assert "6 are with other annotators" in lee.view()["idle"]
    kim.leave()
    assert now(press(lee, "next")) == "p004"
    lee.leave()
    assert now(sit(store, faces, "lee")) == "p004"


def test_a_lease_runs_out(store: Store, faces: Faces) -> None:
    clock = Clock()
    kim = sit(store, faces, "kim", clock=clock)
    clock.now = LEASE_S - 1
    press(kim)  # at work: the rest stays kim's
    clock.now = LEASE_S + 1
    assert now(sit(store, faces, "lee", clock=clock)) is None
    clock.now = 3 * LEASE_S
    lee = sit(store, faces, "lee", clock=clock)
    assert now(lee) == "p001"  # p004 is done


_SERVER = """
import sys, time
from curation_app.faces import load_faces
from curation_app.queues import Queue
from curation_app.sitting import Sitting, new_table
from data_manifests.store import Store
from tests.test_curation_app_sitting import press
workspace, annotator = sys.argv[1:]
store = Store(workspace)
sitting = Sitting(new_table(store, load_faces(store, "people")), annotator, Queue(), 1)
while (store.workspace / "not yet").exists():
    time.sleep(0.001)
while sitting.now is not None:
    press(sitting)
"""


def test_two_servers_deal_nobody_twice(store: Store) -> None:
    """Two processes that know of each other only what is on the disk, at work at the same time."""
    write_people(store, 60)
    (store.workspace / "not yet").touch()
    servers = [
        subprocess.Popen([sys.executable, "-c", _SERVER, str(store.workspace), name], cwd=ROOT, stderr=subprocess.PIPE)
        for name in ("kim", "lee")
    ]
    held = store.workspace / "corrections/people/.held.sqlite"
    end = time.monotonic() + 120
    while _holders(held) < 2 and time.monotonic() < end and all(server.poll() is None for server in servers):
        time.sleep(0.05)
    (store.workspace / "not yet").unlink()
    for server in servers:
        _, told = server.communicate(timeout=120)
        assert server.returncode == 0, told.decode()
    marks = [one for one in written(store) if one["field"] == "unsure"]
    assert sorted(one["person_id"] for one in marks) == [f"p{number:03d}" for number in range(60)]
    assert {one["annotator"] for one in marks} == {"kim", "lee"}


def _holders(held: Path) -> int:
    try:
        with sqlite3.connect(held) as connection:
            return int(connection.execute("SELECT count(DISTINCT annotator) FROM held").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def test_who_only_looks_needs_no_leases(store: Store, faces: Faces) -> None:
    sit(store, faces, annotator="")
    assert not (store.workspace / "corrections").exists()


@pytest.mark.parametrize(("looks", "expected"), [(1, 6), (2, 12), (EVERYBODY, 18)])
def test_each_person_is_seen_by_as_many_as_are_wanted(store: Store, faces: Faces, looks: int, expected: int) -> None:
    team = [sit(store, faces, name, looks=looks) for name in ("kim", "lee", "cho")]
    for _ in range(7):
        for sitting in team:
            sitting._advance() if sitting.now is None else press(sitting)
    marks = [one for one in written(store) if one["field"] == "unsure"]
    assert len(marks) == len({(one["annotator"], one["person_id"]) for one in marks}) == expected
    assert [path.name for path in log.paths(store, faces.version)] == sorted(
        {f"{one['annotator']}.csv" for one in marks}
    )


def test_whom_nobody_has_seen(store: Store, faces: Faces) -> None:
    press(sit(store, faces, "kim", looks=EVERYBODY)).leave()
    assert now(sit(store, faces, "lee", looks=EVERYBODY)) == "p004"
    assert now(sit(store, faces, "lee", Queue("unseen"), looks=EVERYBODY)) == "p001"


def test_how_many_look_is_kept(tmp_path: Path) -> None:
    assert read_looks(tmp_path) == 1
    write_looks(tmp_path, 3)
    assert read_looks(tmp_path) == 3
    (tmp_path / "desk.json").write_text("not json")
    assert read_looks(tmp_path) == 1


# -- progress ---------------------------------------------------------------------------------------------------------
def test_what_others_add_is_read(store: Store, faces: Faces) -> None:
    own = sit(store, faces, "kim", looks=EVERYBODY)
    press(sit(store, faces, "lee", looks=EVERYBODY))
    assert own.table.progress.looks.sum() == 0
    own.refresh()
    assert own.table.progress.looks[4] == 1
    log.path_of(store, faces.version, "lee").unlink()  # put away: the word goes with it
    own.refresh()
    assert own.table.progress.looks.sum() == 0


def test_a_broken_line_is_told_and_the_rest_counts(store: Store, faces: Faces) -> None:
    press(sit(store, faces))
    path = log.path_of(store, faces.version, "kim")
    with path.open("a") as file:
        file.write("torn,line\n")
    (path.parent / "notes.csv").write_text("what,ever\n1,2\n")
    sitting = press(sit(store, faces))
    assert (
        sitting.table.progress.problems[0]
        == "kim.csv, line 12, must have 12 cells, as the first line has. Got 2 instead."
    )
    assert "notes.csv" in sitting.table.progress.problems[1]
    assert len(sitting.table.progress.problems) == 2
    assert sitting.table.progress.looks.sum() == 2


def test_half_a_line_waits_for_its_end(store: Store, faces: Faces) -> None:
    sitting = press(sit(store, faces))
    path = log.path_of(store, faces.version, "kim")
    whole = path.read_bytes()
    progress = Progress(np.asarray(faces.people))
    path.write_bytes(whole[:-30])
    progress.refresh([path])
    assert (progress.looks.sum(), progress.problems) == (0, [])
    path.write_bytes(whole)
    progress.refresh([path])
    assert (progress.looks.sum(), progress.problems) == (1, [])
    assert sitting.table.progress.last("kim") == progress.last("kim")


def test_a_mark_in_the_grid_is_no_look_at_the_person(store: Store, faces: Faces) -> None:
    row = faces.records(faces.rows_of(4))[0]
    append_corrections(
        log.path_of(store, faces.version, "kim"), [log.correction(faces.version, row, "mask", "worn", "kim")]
    )
    sitting = sit(store, faces)
    assert now(sitting) == "p004"
    assert sitting.view()["people"]["p004"]["shots"][0]["labels"]["mask"] == "worn"  # but it is shown
    assert sitting.table.progress.last("kim") is None


def test_days(store: Store, faces: Faces) -> None:
    sitting = press(sit(store, faces))
    assert sitting.table.progress.seen_on("kim", date.today()) == 1
    assert sitting.table.progress.seen_on("kim", date.today() - timedelta(1)) == 0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["settle", "unsure", "undo", "back", "next", "edit"]), max_size=25))
def test_a_new_start_knows_what_the_old_one_knew(tmp_path_factory: pytest.TempPathFactory, acts: list[str]) -> None:
    store = Store(tmp_path_factory.mktemp("w"))
    rows = [photo(f"p{i}", shot) for i in range(3) for shot in ("normal", "mask1")]
    store.write("people", manifest(rows), "ingest")
    faces = load_faces(store, "people")
    sitting = sit(store, faces)
    for act in acts:
        if now(sitting) is None and act in ("settle", "unsure", "edit"):
            continue
        if act == "edit":
            press(sitting, edits={0: {"gender": "female"}, 1: {"gender": "female", "mask": "none"}})
        else:
            press(sitting, act)
    old, new = sitting.table.progress, sit(store, faces).table.progress
    assert (old.seen_by("kim") == new.seen_by("kim")).all()
    assert (old.looks == new.looks).all()
    assert old.last("kim") == new.last("kim")
    assert all(old.words("kim", person) == new.words("kim", person) for person in range(3))


def test_data_is_json(store: Store, faces: Faces) -> None:
    view = sit(store, faces).view()
    assert json.loads(json.dumps(view)) == view
    assert view["pictures"]["p004"][0]["image"].startswith("data:image/jpeg;base64,")
