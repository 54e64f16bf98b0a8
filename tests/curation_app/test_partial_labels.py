"""The pages on versions in which labels of some tasks, or of all, are unknown, and every photo is its own person."""

from __future__ import annotations

import time

import pytest

from curation_app.shell.context import newest_manifest
from data_manifests.corrections.apply import apply_to_store
from data_manifests.labels import labelled_tasks
from data_manifests.versions.store import Store
from tests.support.app_pages import open_page, texts
from tests.support.app_tiles import send, tiles_data
from tests.support.audited_people import logs, saved_values
from tests.support.partial_sets import PARTIAL, write_partial


@pytest.mark.parametrize(
    ("labelled", "grouping", "first", "label"),
    [
        ("mask", "mask", 0, "worn"),
        ("gender", "gender", 0, "male"),
        ("age", "age", 0, "age 25"),
        ("mask+gender", "class", 0, "male · worn"),
        ("none", "mask", -1, "no label"),
        ("mixed", "class", 1, "male 45 · worn"),
    ],
)
def test_grid_opens_with_the_labels_that_exist(
    store: Store, monkeypatch: pytest.MonkeyPatch, labelled: str, grouping: str, first: int, label: str
) -> None:
    write_partial(store, labelled)
    bench = open_page("grid", store, "partial@1", monkeypatch, "Kim")
    field = bench.selectbox(key="grid field labelled")
    assert field.value == grouping
    assert bench.selectbox(key=f"grid value labelled {grouping}").value == first
    shown = tiles_data(bench)["tiles"]
    assert label in {tile["label"] for tile in shown}
    assert not any("None" in str(tile) or "nan" in str(tile["label"]) for tile in shown)
    assert {"Mask", "Gender", "Age class"} <= set(field.options)
    assert ("All 18 classes" in field.options) == (labelled == "mixed")


def test_unlabelled_photos_are_labelled_from_scratch(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write_partial(store, "none", 6)
    bench = open_page("grid", store, "partial@1", monkeypatch, "Kim")
    given = tiles_data(bench)
    ids = [tile["id"] for tile in given["tiles"]]
    assert len(ids) == 6
    assert "right=mask" not in {action["name"] for action in given["actions"]}  # nothing to confirm
    assert not send(bench, "grid", "mask=worn", ids[:2])["error"]
    assert not send(bench, "grid", "gender=female", ids[1:2])["error"]
    assert not send(bench, "grid", "age=class:2", ids[1:2])["error"]
    assert saved_values(store) == [
        ("000", "sample", "mask", "", "worn"),
        ("001", "sample", "mask", "", "worn"),
        ("001", "person", "gender", "", "female"),
        ("001", "person", "age", "", "class:2"),
    ]
    assert [tile["verdict"] for tile in tiles_data(bench)["tiles"][:3]] == ["→ worn", "→ worn · female · ≥60", ""]
    bench.toggle(key="grid hide").set_value(True).run()
    assert [tile["id"] for tile in tiles_data(bench)["tiles"]] == ids[2:]
    version, report = apply_to_store(store, "partial@1", logs(store))
    assert (report.counts["applied"], report.counts["conflict"], version.number) == (4, 0, 2)
    assert labelled_tasks(store.read("partial@2").table) == ("mask", "gender", "age")
    bench = open_page("grid", store, "partial@2", monkeypatch, "Kim")
    assert bench.selectbox(key="grid field labelled").value == "class"
    assert tiles_data(bench)["total"] == 1


def test_unknown_is_a_group_of_every_grouping(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write_partial(store, "mixed", 10)  # two photos each lack mask, gender, age, all three, nothing
    bench = open_page("grid", store, "partial@1", monkeypatch, "Kim")
    for field, count in (("mask", 4), ("gender", 4), ("age", 4), ("class", 8)):
        bench.selectbox(key="grid field labelled").set_value(field).run()
        bench.selectbox(key=f"grid value labelled {field}").set_value(-1).run()
        assert tiles_data(bench)["total"] == count, field
    assert bench.selectbox(key="grid value labelled class").options[-1] == "not all labels known  (8)"


def test_another_version_with_fewer_labels_keeps_the_page_working(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_partial(store, "mask+gender")
    write_partial(store, "none", name="plain")
    bench = open_page("grid", store, "partial@1", monkeypatch, "Kim")
    bench.selectbox(key="grid value labelled class").set_value(4).run()
    bench.session_state["ref"] = "plain@1"
    assert {tile["label"] for tile in tiles_data(bench.run())["tiles"]} == {"no label"}
    bench.session_state["ref"] = "partial@1"
    assert tiles_data(bench.run())["tiles"]


def test_review_accepts_a_photo_without_labels(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write_partial(store, "mask", 3)
    bench = open_page("review", store, "partial@1", monkeypatch, "Kim")
    session = bench.session_state["review_session"]
    view = session.view()
    shot = view["people"]["000"]["shots"][0]
    assert (shot["name"], shot["labels"]["mask"], shot["labels"]["gender"], shot["labels"]["age"]) == (
        "000.png", "worn", "", "",
    )  # fmt: skip
    shown = {**shot["labels"], **shot["file"], "seen": True}
    message = {"session": view["session"], "person": "000", "note": "", "have": [], "act": "accept"}
    session.act(message | {"seq": 1, "shots": [shown | {"gender": "female"}]})
    assert session.error == ""
    assert saved_values(store) == [
        ("000", "sample", "mask", "worn", "worn"),
        ("000", "person", "gender", "", "female"),
        ("000", "person", "unsure", "false", "false"),
    ]
    assert session.view()["current"] == "001"


@pytest.mark.parametrize("labelled", PARTIAL)
def test_review_by_one_label_offers_the_groups_that_exist(
    store: Store, monkeypatch: pytest.MonkeyPatch, labelled: str
) -> None:
    write_partial(store, labelled)
    bench = open_page("review", store, "partial@1", monkeypatch, "Kim")
    bench.selectbox[0].set_value("class").run()
    options = bench.selectbox[1].options
    assert ("Gender: unknown" in options) == (labelled not in ("gender", "mask+gender"))
    assert any(", male, " in option for option in options) == (labelled == "mixed")
    bench.selectbox[1].set_value("mask:-1" if "Mask: unknown" in options else "mask:0").run()
    assert len(bench.session_state["review_session"].order) == {"none": 36, "mixed": 15}.get(
        labelled, 36 if labelled in ("gender", "age") else 12
    )


@pytest.mark.parametrize("labelled", PARTIAL)
@pytest.mark.parametrize("page", ["review", "overview", "agreement", "versions", "synthetic"])
def test_pages_name_no_missing_value(store: Store, monkeypatch: pytest.MonkeyPatch, labelled: str, page: str) -> None:
    write_partial(store, labelled)
    shown = texts(open_page(page, store, "partial@1", monkeypatch, "Kim"))
    assert "None" not in shown
    assert "nan" not in shown.split()
    assert ("of 18" in shown) <= (labelled == "mixed")


def test_the_app_opens_the_data_set_that_was_written_last(store: Store) -> None:
    assert newest_manifest(store) == ""
    write_partial(store, "mask", name="old")
    write_partial(store, "gender", name="new")
    assert newest_manifest(store) == "new"
    table = store.read("old").table
    time.sleep(1.1)  # versions are dated by the second
    store.write("old", table.slice(0, table.num_rows - 1), "ingest")
    assert newest_manifest(store) == "old"
