"""The Synthetic page: filters, and pictures accepted or rejected."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from playwright.sync_api import Browser, expect

from curation_app.synthetic import mask_parameters
from curation_app.synthetic.mask_parameters import UNREADABLE, read_mask_parameters
from data_manifests.corrections.apply import apply_to_store
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions.metadata import Version
from data_manifests.versions.store import Store
from pipeline.photos.images import save_rgb
from synth.plan.render_step import MOVED, PLANNED
from tests.conftest import draw_picture
from tests.support.app_pages import open_page, texts
from tests.support.app_server import browsing, serving, write_people
from tests.support.app_tiles import PATIENCE_MS, send, status, tiles, tiles_data
from tests.support.manifest_tables import manifest

KEY = "synthetic"


def recipe(kind: str, wear: str, move: tuple[int, int] | None = None) -> str:
    """A recipe with the keys of `synth.plan.render_step`, in their order."""
    planned = {"mask_type": kind, "wear": wear, "look_seed": 7, "seed": 8}
    assert tuple(planned) == PLANNED
    made: dict[str, Any] = planned | {"version": "3.2"}
    if move:
        moved = {"from_age": move[0], "to_age": move[1], "mover": '{"method": "prototypes"}', "mover_gender": "male"}
        assert tuple(moved) == MOVED
        made |= moved | {"age": {"method": "prototypes", "from_age": move[0], "to_age": move[1]}}
    return json.dumps(made | ({"mask": {"type": kind, "wear": wear, "seed": 8}} if kind else {}))


MADE = {  # shot → recipe, shares of nose, mouth and chin under fabric
    "normal": (recipe("", "", (40, 67)), None),
    "mask1": (recipe("kf94_white", "worn", (40, 67)), (0.97, 1.0, 1.0)),
    "mask2": (recipe("surgical_blue", "worn"), (0.91, 1.0, 1.0)),
    "incorrect_mask": (recipe("surgical_blue", "nose_out"), (0.05, 1.0, 1.0)),
}


def made_from(store: Store, changed: dict[str, dict[str, Any]] | None = None) -> Version:
    """Version 2: a profile of four synthetic pictures of the second of two people."""
    photos = store.read(write_people(store, 2).ref).table.to_pylist()
    [parent] = [row for row in photos if (row["person_id"], row["shot"]) == ("p001", "normal")]
    rows = []
    for at, (shot, (text, covered)) in enumerate(MADE.items()):
        saved = save_rgb(draw_picture(500 + at), store.workspace, f"images/synth/{shot}.png")
        shares = dict(
            zip([f"{part}_covered_score" for part in mask_parameters.COVERED], covered or [None] * 3, strict=True)
        )
        rows.append(
            parent
            | {"sample_id": f"made-{shot}", "parent_id": parent["sample_id"], "root": "workspace", "path": saved.path}
            | {"sha256": saved.sha256, "profile_id": "p001/s1", "shot": shot, "is_synthetic": True, "recipe": text}
            | shares
            | (changed or {}).get(shot, {})
        )
    return store.write("people", manifest([*photos, *rows]), "synth", parents=[store.version("people@1")])


def test_mask_parameters_of_synth_are_read_without_a_json_parser(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = made_from(store).ref
    monkeypatch.setattr(mask_parameters, "_parse_json", lambda text: pytest.fail(f"parsed as JSON: {text}"))
    read = read_mask_parameters(store, ref, AgeCuts())
    assert [read.type_names[at] for at in read.types] == ["", "kf94_white", "surgical_blue", "surgical_blue"]
    assert [read.placement_names[at] for at in read.placements] == ["", "worn", "worn", "nose_out"]
    assert read.ages.tolist() == [[40, 67], [40, 67], [-1, -1], [-1, -1]]
    assert read.age_changes.tolist() == [5, 5, -1, -1]  # from the middle class to the old
    assert read.rows.tolist() == [14, 15, 16, 17]
    np.testing.assert_allclose(read.covered[1:, 0], [0.97, 0.91, 0.05], atol=1e-6)
    assert np.isnan(read.covered[0]).all()
    assert read.unreadable == 0


def test_mask_parameters_in_another_format_are_read_and_unreadable_ones_counted() -> None:
    texts_ = [json.dumps({"wear": "worn", "mask_type": "cup", "from_age": 30, "to_age": 70}), recipe("x", "worn")[:-9]]
    read = mask_parameters._parse(
        pa.array([*texts_, None, "[]", "null", recipe("sponge", "chin")], pa.string())
    ).to_pylist()
    assert read[0] == {"mask_type": "cup", "wear": "worn", "from_age": 30, "to_age": 70}
    assert [one["mask_type"] for one in read[1:]] == [UNREADABLE] * 4 + ["sponge"]


def test_mask_parameters_over_several_batches(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = made_from(store).ref
    whole = read_mask_parameters(store, ref, AgeCuts())
    monkeypatch.setattr(mask_parameters, "_BATCH", 5)
    parts = read_mask_parameters(store, ref, AgeCuts())
    assert parts.rows.tolist() == whole.rows.tolist()
    assert (parts.types == whole.types).all()
    np.testing.assert_array_equal(parts.covered, whole.covered)


def test_version_without_synthetic_pictures_names_another(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write_people(store, 2)
    [info] = open_page(KEY, store, "people@1", monkeypatch).info
    assert "no synthetic pictures. Run: `facecurate synth run people@1`" in info.value
    made_from(store)
    [info] = open_page(KEY, store, "people@1", monkeypatch).info
    assert "Version 2 has some" in info.value


def test_tiles_show_how_each_picture_was_made(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made_from(store)
    bench = open_page(KEY, store, "people@2", monkeypatch, "Kim")
    shown = tiles_data(bench)["tiles"]
    assert [tile["label"] for tile in shown] == [
        "no mask", "worn · kf94 white", "worn · surgical blue", "nose out · surgical blue",
    ]  # fmt: skip
    assert [tile["hint"] for tile in shown] == ["age 40 → 67", "age 40 → 67", "", ""]
    assert shown[3]["more"] == "N 5 · M 100 · C 100"
    assert all(tile["src"] and "origin" not in tile for tile in shown)
    bench.toggle(key="synthetic origin").set_value(True).run()
    with_origin = tiles_data(bench)["tiles"]
    assert len({tile["origin"] for tile in with_origin}) == 1  # they are all made from one photo
    assert with_origin[0]["origin"].startswith("data:image/jpeg")


def test_filters_by_mask_placement_age_and_coverage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made_from(store)
    bench = open_page(KEY, store, "people@2", monkeypatch, "Kim")

    def ids() -> list[str]:
        return [tile["id"].removeprefix("made-") for tile in tiles_data(bench)["tiles"]]

    age = bench.selectbox(key="synthetic age current")
    assert age.options == ["All  (4)", "unchanged  (2)", "30–59 → ≥60  (2)"]
    age.set_value(5).run()
    assert ids() == ["normal", "mask1"]
    bench.selectbox(key="synthetic age current").set_value(-2).run()
    bench.selectbox(key="synthetic type current").select_index(3).run()
    assert ids() == ["mask2", "incorrect_mask"]
    bench.selectbox(key="synthetic order").set_value("nose").run()
    assert ids() == ["incorrect_mask", "mask2"]
    bench.selectbox(key="synthetic placement current").select_index(2).run()
    assert len(ids()) == 1


def test_rejected_picture_is_excluded_and_its_photo_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made_from(store)
    bench = open_page(KEY, store, "people@2", monkeypatch, "Kim")
    assert send(bench, KEY, "exclude=true", ["made-mask1"])["text"] == "Saved · Reject · 1 picture"
    assert send(bench, KEY, "exclude=false", ["made-mask2"], "saccepted1")["text"] == "Saved · Accept · 1 picture"
    assert [tile["verdict"] for tile in tiles_data(bench)["tiles"]] == ["", "rejected", "✓ accepted", ""]
    bench.toggle(key="synthetic hide").set_value(True).run()
    assert [tile["id"] for tile in tiles_data(bench)["tiles"]] == ["made-normal", "made-incorrect_mask"]
    version, report = apply_to_store(store, "people@2", logs(store))
    assert report.counts["applied"] == 1
    table = store.read(version.ref).table
    assert table.filter(pc.equal(table["status"], "excluded"))["sample_id"].to_pylist() == ["made-mask1"]
    bench = open_page(KEY, store, version.ref, monkeypatch, "Lee")
    assert "made-mask1" not in [tile["id"] for tile in tiles_data(bench)["tiles"]]
    bench.segmented_control[0].set_value("rejected").run()
    assert [tile["id"] for tile in tiles_data(bench)["tiles"]] == ["made-mask1"]


def logs(store: Store) -> list[Path]:
    return sorted((store.workspace / "corrections").glob("*/*.csv"))


def test_unreadable_mask_parameters_are_reported(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made_from(store, {"mask2": {"recipe": '{"mask_type": '}})
    bench = open_page(KEY, store, "people@2", monkeypatch)
    assert "The recipes of 1 pictures cannot be read" in texts(bench)
    assert "facecurate synth verify people@2" in texts(bench).replace("\\", "")
    assert [tile["label"] for tile in tiles_data(bench)["tiles"]][2] == "unreadable · unreadable"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


@pytest.mark.browser
@pytest.mark.slow
def test_reject_in_a_browser(store: Store, browser: Browser) -> None:
    made_from(store)
    with serving(store.workspace) as server:
        page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        page.goto(f"{server.url}/synthetic?manifest=people@2&by=Kim")
        shown = tiles(page, 4)
        shown.nth(1).click()
        shown.nth(2).click(modifiers=["Shift"])
        page.get_by_role("button", name="Reject").click()
        status(page, "Saved · Reject · 2 pictures")
        expect(shown.nth(1).locator(".verdict")).to_have_text("rejected")
        shown.nth(3).hover()
        shown.nth(3).locator(".zoom").click()
        expect(page.locator(".enlarged figure")).to_have_count(2, timeout=PATIENCE_MS)  # and its photo
    version, _ = apply_to_store(store, "people@2", logs(store))
    table = store.read(version.ref).table
    gone = table.filter(pc.equal(table["status"], "excluded"))["sample_id"].to_pylist()
    assert gone == ["made-mask1", "made-mask2"]
