"""The Grid page: which faces it shows, what is written about those that are marked, pairs of duplicates."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser, expect

from curation_app.annotations.log import correction, path_of
from curation_app.grid.duplicate_groups import find_duplicate_groups
from curation_app.images.manifest_rows import ManifestRows, load_manifest_rows
from curation_app.tiles.actions import (
    EXCLUDE,
    KEEP,
    SAME,
    accept_suggestions,
    action_records,
    confirm_labels,
    group_action_records,
    relabel_actions,
    verdict,
)
from curation_app.tiles.selection import counts, in_order, labels_of, without_annotations
from data_manifests.corrections.annotator_log import AnnotatorLog
from data_manifests.corrections.apply import apply_to_store
from data_manifests.corrections.log import read_corrections
from data_manifests.corrections.record import Correction
from data_manifests.errors import CorrectionError
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions.metadata import Version
from data_manifests.versions.store import Store
from tests.support.app_pages import open_page, texts
from tests.support.app_server import Server, browsing, serving, write_people
from tests.support.app_tiles import PATIENCE_MS, send, tiles_data, status, tiles

AUDITED = {"gender_label_score": 0.9, "age_label_score": 0.9, "mask_label_score": 0.9, "audit_rank": 1}
_SEEN = Version("people", 1, "ingest", content_hash="9f86d081" * 8)
ACTIONS = {action.name: action for action in relabel_actions(AgeCuts())}


def people(store: Store, number: int = 6, **wrong: dict[str, Any]) -> ManifestRows:
    """A version of drawn people whom the audit has looked at."""
    known = {name.replace("_", "/"): values for name, values in wrong.items()}
    everybody = {f"p{at:03d}": AUDITED | known.get(f"p{at:03d}", {}) for at in range(number)}
    return load_manifest_rows(store, write_people(store, number, known | everybody).ref)


def annotator_log(store: Store, faces: ManifestRows, annotator: str = "Kim") -> AnnotatorLog:
    own = AnnotatorLog(path_of(store, faces.version, annotator))
    own.refresh()
    return own


def rows_of(faces: ManifestRows, *names: str) -> list[dict[str, Any]]:
    """Rows by person/shot."""
    rows = {f"{row['person_id']}/{row['shot']}": row for row in faces.table.to_pylist()}
    return [rows[name] for name in names]


def logs(store: Store) -> list[Path]:
    return sorted((store.workspace / "corrections").glob("*/*.csv"))


def said(store: Store) -> list[tuple[str, ...]]:
    found = read_corrections(logs(store)).to_pylist()
    assert [one["problem"] for one in found if one["problem"]] == []
    return [(one["person_id"], one["scope"], one["field"], one["old"], one["new"]) for one in found]


# -- which photos -----------------------------------------------------------------------------------------------------
def test_most_suspect_first_and_unscored_last(store: Store) -> None:
    faces = people(
        store, 6, p000={"gender_label_score": 0.3}, p003={"gender_label_score": None, "age_label_score": 0.1}
    )
    labels = labels_of(faces)
    men = labels.shown & (labels.labelled["gender"] == 0)
    assert counts(labels.labelled["gender"], labels.shown, 2) == [28, 14]  # of three, two are male
    rows = in_order(labels, men, -labels.scores["gender"])
    order = list(dict.fromkeys(faces.column("person_id").take(pa.array(rows)).to_pylist()))
    assert order == ["p000", "p002", "p005", "p003"]
    by_age = in_order(labels, men, -labels.scores["class"])  # of all labels together, the worst counts
    assert faces.column("person_id")[int(by_age[0])].as_py() == "p003"
    by_id = in_order(labels, men, None)
    assert faces.column("person_id").take(pa.array(by_id)).to_pylist() == sorted(
        faces.column("person_id").take(pa.array(by_id)).to_pylist()
    )


def test_unusable_photos_are_not_shown(store: Store) -> None:
    by_us = {"status": "excluded", "reason": "apply: excluded by Kim"}
    faces = people(store, 3, p000_normal={"status": "failed"}, p001_mask1=by_us, p002_mask2={"status": "excluded"})
    labels = labels_of(faces)
    assert int(labels.shown.sum()) == 21 - 3
    assert faces.records(np.flatnonzero(labels.rejected))[0]["shot"] == "mask1"  # a stage's exclusion is not ours
    assert int(labels.rejected.sum()) == 1


def test_annotated_photos_can_be_hidden(store: Store) -> None:
    faces = people(store, 3)
    own = annotator_log(store, faces)
    [row, other] = rows_of(faces, "p000/mask1", "p001/mask1")
    own.save("g00000001", action_records(ACTIONS["mask=none"], [row], faces.version, "Kim", own))
    own.save("g00000002", action_records(ACTIONS["gender=male"], [other], faces.version, "Kim", own))
    rows = np.arange(faces.table.num_rows)
    assert len(without_annotations(faces, rows, own, ("mask",))) == 20
    assert len(without_annotations(faces, rows, own, ("gender",))) == 14  # all seven of the person
    own.undo("g00000002")
    assert len(without_annotations(faces, rows, own, ("gender",))) == 21


# -- what is written --------------------------------------------------------------------------------------------------
def test_gender_is_recorded_per_person_and_mask_per_photo(store: Store) -> None:
    faces = people(store, 3)
    own = annotator_log(store, faces)
    rows = rows_of(faces, "p000/normal", "p000/mask1", "p001/mask1")
    records = action_records(ACTIONS["gender=female"], rows, faces.version, "Kim", own)
    assert [(one.person_id, one.scope, one.old) for one in records] == [
        ("p000", "person", "male"),
        ("p001", "person", "female"),
    ]
    records = action_records(ACTIONS["mask=incorrect"], rows, faces.version, "Kim", own)
    assert [(one.sample_id, one.scope, one.old) for one in records] == [
        (rows[0]["sample_id"], "sample", "none"),
        (rows[1]["sample_id"], "sample", "worn"),
        (rows[2]["sample_id"], "sample", "worn"),
    ]
    assert {one.image_sha256 for one in records} == {row["sha256"] for row in rows}


def test_confirm_and_apply_suggestion(store: Store) -> None:
    faces = people(store, 3, p000={"suggested_age": 61, "suggested_gender": "female"}, p001={"gender": None})
    own = annotator_log(store, faces)
    rows = rows_of(faces, "p000/normal", "p001/normal")
    records = action_records(confirm_labels(("gender", "age")), rows, faces.version, "Kim", own)
    assert [(one.person_id, one.field, one.old, one.new) for one in records] == [
        ("p000", "gender", "male", "male"),
        ("p000", "age", "25", "25"),
        ("p001", "age", "40", "40"),  # a label that is not there cannot be right
    ]
    records = action_records(accept_suggestions(("age",)), rows, faces.version, "Kim", own)
    assert [(one.person_id, one.new) for one in records] == [("p000", "61")]
    with pytest.raises(CorrectionError, match="suggests nothing"):
        action_records(accept_suggestions(("mask",)), rows, faces.version, "Kim", own)


def test_copy_labels_within_a_group_but_not_to_all_photos_of_another_person(store: Store) -> None:
    faces = people(store, 3)
    own = annotator_log(store, faces)
    good, other, own = rows_of(faces, "p000/normal", "p001/normal", "p000/mask1")
    records = group_action_records(SAME, [good, other, own], [good], faces.version, "Kim", own)
    assert [(one.person_id, one.scope, one.field, one.new) for one in records] == [
        ("p001", "sample", "gender", "male"),
        ("p001", "sample", "age", "25"),
        ("p000", "sample", "mask", "none"),
    ]
    with pytest.raises(CorrectionError, match="Mark one"):
        group_action_records(SAME, [good, other], [good, other], faces.version, "Kim", own)
    kept = group_action_records(KEEP, [good, other], [good], faces.version, "Kim", own)
    assert [(one.sample_id, one.old, one.new) for one in kept] == [
        (good["sample_id"], "false", "false"),
        (other["sample_id"], "false", "false"),
    ]


def test_annotations_are_shown_at_once(store: Store) -> None:
    faces = people(store, 3)
    own = annotator_log(store, faces)
    row, brother = rows_of(faces, "p000/normal", "p000/mask1")
    for number, (action, shown) in enumerate(
        [(confirm_labels(("age",)), "✓ correct"), (ACTIONS["age=class:0"], "✓ correct"), (ACTIONS["age=class:2"], "→ ≥60")]
    ):
        own.save(f"g0000000{number}", action_records(action, [row], faces.version, "Kim", own))
        assert verdict(row, own, AgeCuts()) == verdict(brother, own, AgeCuts()) == shown
    own.save("g00000009", action_records(EXCLUDE, [row], faces.version, "Kim", own))
    assert (verdict(row, own, AgeCuts()), verdict(brother, own, AgeCuts())) == ("excluded", "→ ≥60")


def test_repeated_save_is_written_once_also_after_a_restart(store: Store) -> None:
    faces = people(store, 3)
    [row] = rows_of(faces, "p000/mask1")
    for _ in range(2):
        own = annotator_log(store, faces)
        records = [Correction(faces.version.pinned, row["sample_id"], "p000", "sample", "mask", "worn", "none", "Kim")]
        own.save("g00000001", records)
        own.save("g00000001", records)
    assert len(said(store)) == 1
    with pytest.raises(CorrectionError, match="save id must be"):
        own.save("../x", records)


_SAVES = st.lists(
    st.tuples(
        st.sampled_from(
            ["gender=male", "gender=female", "age=class:0", "age=class:2", "mask=none", "mask=worn", "keep"]
        ),
        st.lists(st.integers(0, 13), min_size=1, max_size=4, unique=True),
    ),
    min_size=1,
    max_size=7,
)


@settings(max_examples=50, deadline=None)
@given(_SAVES)
def test_undo_restores_earlier_annotations_step_by_step(
    tmp_path_factory: pytest.TempPathFactory, saves: list[tuple[str, list[int]]]
) -> None:
    rows = [
        {"sample_id": f"s{at}", "person_id": f"p{at // 7}", "mask": "worn", "gender": "male", "age": 40, "sha256": ""}
        | {"age_class": 1, "status": "ok", "reason": None}
        for at in range(14)
    ]
    own = AnnotatorLog(tmp_path_factory.mktemp("undo") / "Kim.csv")

    def state(of: AnnotatorLog) -> list[str | None]:
        return [of.latest_of(row, field) for row in rows for field in ("mask", "gender", "age")]

    def records(action: str, chosen: list[dict[str, Any]]) -> list[Correction]:
        if action in ACTIONS:
            return action_records(ACTIONS[action], chosen, _SEEN, "Kim", own)
        return [correction(_SEEN, row, "gender", "female", "Kim") for row in chosen]  # as a copy of a photo gets it

    states = {}
    for number, (action, marked) in enumerate(saves):
        before = state(own)
        own.save(f"g{number:08d}", records(action, [rows[at] for at in marked]))
        if own.history.has_save(f"g{number:08d}"):
            states[f"g{number:08d}"] = before
    again = AnnotatorLog(own.path)
    again.refresh()
    assert state(again) == state(own)
    for name, before in reversed(states.items()):
        assert again.last_save("g")[0] == name
        again.undo(name)
        assert state(again) == before == latest_words(own.path, rows)
    own.refresh()
    assert state(own) == [None] * len(state(own))


def latest_words(log: Path, rows: list[dict[str, Any]]) -> list[str | None]:
    """What `apply` takes from a log: the latest record about each photo, also if it was about the person."""
    now: dict[tuple[str, str], str] = {}
    for record in read_corrections([log]).to_pylist():
        for row in rows:
            key = "person_id" if record["scope"] == "person" else "sample_id"
            if record[key] == row[key]:
                now[row["sample_id"], record["field"]] = record["new"]
    return [now.get((row["sample_id"], field)) or None for row in rows for field in ("mask", "gender", "age")]


def test_later_annotation_stays_when_an_earlier_save_is_undone(store: Store) -> None:
    faces = people(store, 2)
    own = annotator_log(store, faces)
    first, second = rows_of(faces, "p000/normal", "p001/normal")
    own.save("g00000001", action_records(ACTIONS["age=class:2"], [first, second], faces.version, "Kim", own))
    own.save("g00000002", action_records(ACTIONS["age=class:1"], [first], faces.version, "Kim", own))
    assert own.undo("g00000001") == 1
    assert (own.latest_of(first, "age"), own.latest_of(second, "age")) == ("class:1", None)


# -- the page ---------------------------------------------------------------------------------------------------------
def test_page_shows_a_class_and_writes_corrections(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    people(store, 3, p001={"gender": "male", "suggested_gender": "female", "gender_label_score": 0.1})
    bench = open_page("grid", store, "people@1", monkeypatch, "Kim")
    assert [tile["label"] for tile in tiles_data(bench)["tiles"]] == ["male 25 · worn"] * 5  # the first of 18 classes
    bench.segmented_control[0].set_value("suspected").run()
    bench.selectbox(key="grid field suspected").set_value("gender").run()
    bench.selectbox(key="grid value suspected gender").set_value(1).run()
    shown = tiles_data(bench)["tiles"]
    assert [tile["head"].split()[0] for tile in shown] == ["p001"] * 7
    assert {tile["hint"] for tile in shown} == {"predicted female"}
    answer = send(bench, "grid", "suggested=gender", [shown[0]["id"], shown[1]["id"]])
    assert answer == {"text": "Saved · As suggested · 2 pictures", "error": False}
    assert said(store) == [("p001", "person", "gender", "male", "female")]
    assert {tile["verdict"] for tile in tiles_data(bench)["tiles"]} == {"→ female"}
    version, report = apply_to_store(store, "people@1", logs(store))
    assert (report.counts["applied"], report.rows_changed, version.number) == (1, 7, 2)


def test_undo_reverts_the_last_save_of_the_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    people(store, 3)
    bench = open_page("grid", store, "people@1", monkeypatch, "Kim")
    first = tiles_data(bench)["tiles"][0]["id"]
    assert tiles_data(bench)["undo"] is None
    send(bench, "grid", "mask=none", [first])
    bench = open_page("grid", store, "people@1", monkeypatch, "Kim")  # the next morning
    undo = tiles_data(bench)["undo"]
    assert send(bench, "grid", "undo", [undo["name"]])["text"] == "Undid 1 label."
    assert [record[-1] for record in said(store)] == ["none", ""]
    assert tiles_data(bench)["undo"] is None
    _, report = apply_to_store(store, "people@1", logs(store))
    assert report.rows_changed == 0


def test_invalid_save_writes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    people(store, 3)
    bench = open_page("grid", store, "people@1", monkeypatch)
    known = tiles_data(bench)["tiles"][0]["id"]
    assert tiles_data(bench)["whyNot"].startswith("Enter your name")
    assert "Enter your name" in send(bench, "grid", "mask=none", [known])["text"]
    bench = open_page("grid", store, "people@1", monkeypatch, "Kim")
    for number, (action, ids) in enumerate([("mask=funny", [known]), ("mask=none", [known, "not-there"])]):
        answer = send(bench, "grid", action, ids, f"gwrong{number:04d}")
        assert answer["error"]
        assert answer["text"].startswith("Nothing was saved: ")
    assert said(store) == []


def test_save_refers_to_the_version_shown(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    faces = people(store, 3)
    store.write("people", faces_table(store, "people@1", "split"), "split", parents=[faces.version])
    bench = open_page("grid", store, "people@2", monkeypatch, "Kim")
    given, old = tiles_data(bench), faces.version.pinned
    assert given["manifest"] != old
    save = {"name": "gold000001", "manifest": old, "action": "mask=none", "ids": [given["tiles"][0]["id"]]}
    bench.session_state["grid"] = {"saves": [save]}
    assert not tiles_data(bench.run())["results"]["gold000001"]["error"]
    [record] = read_corrections(logs(store)).to_pylist()
    assert record["manifest"] == old


def faces_table(store: Store, ref: str, column: str) -> pa.Table:
    table = store.read(ref).table
    at = table.schema.get_field_index(column)
    return table.set_column(at, column, pa.array(["train"] * table.num_rows))


def test_missing_picture_is_reported_and_the_rest_is_shown(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    faces = people(store, 3)
    [row] = rows_of(faces, "p000/mask2")
    (store.workspace / "photos" / row["path"]).unlink()
    shown = tiles_data(open_page("grid", store, "people@1", monkeypatch, "Kim"))["tiles"]
    assert [bool(tile["src"]) for tile in shown].count(False) == 1
    assert "is no longer in the folder" in next(tile["problem"] for tile in shown if not tile["src"])


def test_paging(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    people(store, 30)  # ten of each class, five masks each
    bench = open_page("grid", store, "people@1", monkeypatch, "Kim")
    bench.selectbox(key="grid size").set_value(48).run()
    given = tiles_data(bench)
    assert (given["pages"], given["total"], len(given["tiles"])) == (2, 50, 48)
    bench.session_state["grid"] = {"page": {"of": given["selection"], "page": 1}}
    second = tiles_data(bench.run())
    assert (second["first"], len(second["tiles"])) == (48, 2)
    assert not {tile["id"] for tile in second["tiles"]} & {tile["id"] for tile in given["tiles"]}
    bench.selectbox(key="grid field labelled").set_value("gender").run()  # another choice begins at its first page
    assert tiles_data(bench)["page"] == 0


def test_missing_audit_names_the_command_to_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write_people(store, 3)
    bench = open_page("grid", store, "people@1", monkeypatch, "Kim")
    assert len(tiles_data(bench)["tiles"]) == 5
    for show in ("suspected", "duplicates"):
        bench.segmented_control[0].set_value(show).run()
        assert "python \\-m audit run people@1" in texts(bench)
    bench.segmented_control[0].set_value("predicted").run()
    assert "python \\-m train fit people@1" in texts(bench)
    bench.segmented_control[0].set_value("excluded").run()
    assert tiles_data(bench)["empty"] == "No correction has left a photo out of this version."


def test_differing_predictions_are_shown_most_confident_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    faces = people(store, 3)
    ids = faces.column("sample_id").to_pylist()
    run = store.workspace / "runs" / "people-0001"
    run.mkdir(parents=True)
    (run / "run.json").write_text('{"manifest": "people@1", "state": "finished"}')
    predicted = np.array(faces.column("class_id").to_pylist(), np.int8)
    confidence = np.linspace(0.5, 0.9, len(ids)).astype(np.float32)
    predicted[[1, 3]] = 3  # two masked young men as women
    columns = {"sample_id": ids, "split": ["val"] * len(ids), "target": predicted, "predicted": predicted}
    pq.write_table(pa.table(columns | {"confidence": confidence}), run / "predictions.parquet")
    bench = open_page("grid", store, "people@1", monkeypatch, "Kim")
    bench.segmented_control[0].set_value("predicted").run()
    bench.selectbox(key="grid field predicted").set_value("gender").run()
    bench.selectbox(key="grid value predicted gender").set_value(1).run()
    assert [tile["id"] for tile in tiles_data(bench)["tiles"]] == [ids[3], ids[1]]
    bench.toggle(key="grid differ").set_value(False).run()
    assert tiles_data(bench)["total"] == 2 + 7  # and the woman


# -- duplicates -------------------------------------------------------------------------------------------------------
def copies(store: Store) -> ManifestRows:
    """p000's first photo again at p001 (another gender and age); p002's mask1 again as its own mask2; a lone one."""
    faces = people(store, 4)
    first, other, twin, same = rows_of(faces, "p000/normal", "p001/normal", "p002/mask1", "p002/mask2")
    groups = {first["sample_id"]: "a", other["sample_id"]: "a", twin["sample_id"]: "b", same["sample_id"]: "b"}
    table = store.read(faces.version.ref).table
    of = [groups.get(name) for name in table["sample_id"].to_pylist()]
    of[20] = "alone"
    at = table.schema.get_field_index("duplicate_of")
    version = store.write(
        "people", table.set_column(at, "duplicate_of", pa.array(of)), "audit", parents=[faces.version]
    )
    return load_manifest_rows(store, version.ref)


def test_duplicate_groups_and_their_differences(store: Store) -> None:
    faces = copies(store)
    twins = find_duplicate_groups(faces, labels_of(faces))
    assert len(twins) == 2  # one that is alone is no pair
    assert twins.flags(0) == ["different people", "gender differs", "age class differs"]
    assert twins.flags(1) == []
    assert [row["person_id"] for row in faces.records(twins.group(0))] == ["p000", "p001"]
    assert list(twins.any_differs) == [True, False]


def test_a_version_without_duplicates_has_no_groups(store: Store) -> None:
    faces = people(store, 2)
    assert len(find_duplicate_groups(faces, labels_of(faces))) == 0


def test_duplicates_on_the_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    faces = copies(store)
    bench = open_page("grid", store, "people@2", monkeypatch, "Kim")
    bench.segmented_control[0].set_value("duplicates").run()
    given = tiles_data(bench)
    assert [tile["group"] for tile in given["tiles"]] == [0, 0, 1, 1]
    assert given["groups"][0]["flags"] == ["different people", "gender differs", "age class differs"]
    [good] = rows_of(faces, "p000/normal")
    assert not send(bench, "grid", "group=same", [good["sample_id"]])["error"]
    assert said(store) == [
        ("p001", "sample", "gender", "female", "male"),
        ("p001", "sample", "age", "40", "25"),
    ]
    assert not send(bench, "grid", "group=keep", [given["tiles"][2]["id"]])["error"]
    bench.toggle(key="grid hide").set_value(True).run()
    assert [tile["head"].split()[0] for tile in tiles_data(bench)["tiles"]] == ["p000", "p001"]


# -- in a browser -----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


def test_mark_relabel_restart_and_undo(store: Store, browser: Browser) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    people(store, 9, p000={"person_id": hostile})
    with serving(store.workspace) as server:
        page = open_grid(browser, server)
        shown = tiles(page, 15)  # three young men with five masks each
        heads = shown.locator(".head").all_inner_texts()
        assert heads[0].startswith(hostile)  # as text
        shown.nth(1).click()
        shown.nth(4).click(modifiers=["Shift"])
        shown.nth(7).click()
        page.keyboard.press("ArrowRight")  # shows where the keyboard is
        page.keyboard.press("ArrowRight")
        page.keyboard.press("x")
        assert marked(page) == [1, 2, 3, 4, 7, 8]
        shown.nth(3).click()  # not that one
        assert marked(page) == [1, 2, 4, 7, 8]
        page.keyboard.press("i")
        status(page, "5 pictures")
        assert shown.locator(".verdict").all_inner_texts().count("→ incorrect") == 5
        names = [store_id(shown, at) for at in (1, 2, 4, 7, 8)]
        page.keyboard.press("a")
        page.keyboard.press("Escape")
        assert marked(page) == []
        server.kill()
        assert sorted(sample_ids(store)) == sorted(names)
        port = server.port
    with serving(store.workspace, port=port) as server:
        page = open_grid(browser, server)
        shown = tiles(page, 15)
        expect(shown.nth(1).locator(".verdict")).to_have_text("→ incorrect", timeout=PATIENCE_MS)
        page.keyboard.press("u")
        status(page, "Undid 5 labels")
        expect(shown.nth(1).locator(".verdict")).to_be_hidden(timeout=PATIENCE_MS)
    _, report = apply_to_store(store, "people@1", logs(store))
    assert (len(report.table), report.rows_changed) == (10, 0)


def open_grid(browser: Browser, server: Server) -> Any:
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.on("dialog", lambda dialog: pytest.fail(f"a text was run: {dialog.message}"))
    page.goto(f"{server.url}/grid?manifest=people@1&by=Kim")
    return page


def marked(page: Any) -> list[int]:
    boxes = page.locator(".tile").all()
    return [at for at, box in enumerate(boxes) if box.get_attribute("aria-selected") == "true"]


def store_id(shown: Any, at: int) -> str:
    return str(shown.nth(at).get_attribute("data-id"))


def sample_ids(store: Store) -> list[str]:
    return read_corrections(logs(store))["sample_id"].to_pylist()


def test_fast_saves_are_all_written(store: Store, browser: Browser) -> None:
    people(store, 9)
    with serving(store.workspace) as server:
        page = open_grid(browser, server)
        shown = tiles(page, 15)
        wanted = {}
        for at, key in zip(range(15), itertools.cycle("in")):
            shown.nth(at).click()
            page.keyboard.press(key)
            wanted[store_id(shown, at)] = {"i": "incorrect", "n": "none"}[key]
        expect(page.locator(".tile.saving")).to_have_count(0, timeout=PATIENCE_MS)
        status(page, "Saved")
    records = read_corrections(logs(store)).to_pylist()
    assert {record["sample_id"]: record["new"] for record in records} == wanted
    assert len(records) == 15


def test_leaving_a_page_with_marks_needs_two_key_presses(store: Store, browser: Browser) -> None:
    people(store, 60)
    with serving(store.workspace) as server:
        page = open_grid(browser, server)
        shown = tiles(page, 96)
        first = store_id(shown, 0)
        shown.nth(0).click()
        page.keyboard.press("]")
        status(page, "are not saved")
        assert store_id(shown, 0) == first
        page.keyboard.press("]")
        expect(page.locator(".place")).to_contain_text("97–100 of 100", timeout=PATIENCE_MS)
        assert marked(page) == []
        page.locator(".tile .zoom").first.click(force=True)
        expect(page.locator(".enlarged dl")).to_contain_text("Person", timeout=PATIENCE_MS)
        page.keyboard.press("Escape")
        expect(page.locator(".enlarged")).to_be_hidden(timeout=PATIENCE_MS)
    assert not (store.workspace / "corrections").exists()
