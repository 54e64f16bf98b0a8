"""The Grid page in Chromium."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from data_manifests.corrections.apply import apply_to_store
from data_manifests.corrections.log import read_corrections
from data_manifests.versions.store import Store
from tests.support.app_server import Server, browsing, serving
from tests.support.app_tiles import PATIENCE_MS, status, tiles
from tests.support.audited_people import audited_people, logs
from tests.support.partial_sets import write_partial

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


def test_mark_relabel_restart_and_undo(store: Store, browser: Browser) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    audited_people(store, 9, p000={"person_id": hostile})
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
    page.on("dialog", lambda dialog: pytest.fail(f"text was run as HTML: {dialog.message}"))
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
    audited_people(store, 9)
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


def test_unlabelled_photos_are_labelled_with_one_key(store: Store, browser: Browser) -> None:
    write_partial(store, "none", 4, name="people")
    with serving(store.workspace) as server:
        page = open_grid(browser, server)
        shown = tiles(page, 4)
        expect(shown.nth(0).locator(".label")).to_have_text("no label", timeout=PATIENCE_MS)
        for at, key, verdict in ((0, "w", "→ worn"), (1, "f", "→ female"), (2, "9", "→ 30–59")):
            shown.nth(at).click()
            page.keyboard.press(key)
            expect(shown.nth(at).locator(".verdict")).to_have_text(verdict, timeout=PATIENCE_MS)
    records = read_corrections(logs(store)).to_pylist()
    assert [(record["field"], record["old"], record["new"]) for record in records] == [
        ("mask", "", "worn"),
        ("gender", "", "female"),
        ("age", "", "class:1"),
    ]


def test_leaving_a_page_with_marks_needs_two_key_presses(store: Store, browser: Browser) -> None:
    audited_people(store, 60)
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
