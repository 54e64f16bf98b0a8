"""The scripts of the pages, called as Streamlit calls them, in Chromium: no mark, save or key may be lost.

Streamlit calls a component with each state of the page. Where a state is replaced before its call is over, it runs the
function that the call returned, after the next call or before it, though the element stays on the page.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from curation_app import shell
from curation_app.review import component as review_module
from curation_app.tiles import component as tiles_module
from tests.support.app_server import browsing

pytestmark = [pytest.mark.browser, pytest.mark.slow]

_LOAD = """async (script) => {
  const module = await import(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
  window.sent = [];
  window.put = () => {
    const box = document.createElement("div");
    document.body.append(box);
    return box;
  };
  window.call = (parentElement, data) =>
    module.default({ parentElement, data, setStateValue: (name, value) => window.sent.push({ name, value }) });
}"""
_PRESS = "(key) => document.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


def tiles_state(results: dict[str, Any] | None = None, token: str = "a 0") -> str:
    """Return the state of a page of three photos as JSON."""
    pixel = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
    tiles = [{"id": f"s{at}", "src": pixel, "w": 1, "h": 1, "head": f"p{at}", "label": "worn"} for at in range(3)]
    actions = [{"name": "mask=none", "text": "no mask", "key": "n", "section": "Mask"}]
    state = {
        "selection": token[0], "token": token, "prefix": "g", "manifest": "people@1#00000000", "tiles": tiles,
        "groups": None, "actions": actions, "page": 0, "pages": 1, "first": 0, "shown": 3, "total": 3, "noun": "photos",
        "enabled": True, "whyNot": "", "results": results or {}, "undo": None, "enlarged": None, "empty": "",
        "keyboard": shell.keyboard(shell.TILES),
    }  # fmt: skip
    return json.dumps(state)


def open_tiles(page: Page) -> None:
    script = shell.browser_script(Path(tiles_module.__file__).with_name("tiles.js"))
    page.goto("about:blank")
    page.evaluate(_LOAD, script)
    page.evaluate("(state) => { window.box = put(); window.ended = call(box, JSON.parse(state)); }", tiles_state())


def marked(page: Page) -> list[str]:
    return page.evaluate("[...document.querySelectorAll('.tile.marked')].map((tile) => tile.dataset.id)")


def sent_saves(page: Page) -> list[dict[str, Any]]:
    """Return the saves of the latest message."""
    messages = page.evaluate("window.sent.filter(({ name }) => name === 'saves')")
    return list(messages[-1]["value"]) if messages else []


@pytest.mark.parametrize("order", ["ended(); call(box, state)", "call(box, state); ended()"])
def test_replaced_state_takes_no_mark(page: Page, order: str) -> None:
    open_tiles(page)
    page.locator(".tile").nth(1).click()
    page.evaluate(f"(text) => {{ const state = JSON.parse(text); {order} }}", tiles_state())
    assert marked(page) == ["s1"]
    page.evaluate(_PRESS, "n")
    assert [(save["action"], save["ids"]) for save in sent_saves(page)] == [("mask=none", ["s1"])]


@pytest.mark.parametrize("order", ["ended(); call(box, state)", "call(box, state); ended()"])
def test_replaced_state_takes_no_unconfirmed_save(page: Page, order: str) -> None:
    open_tiles(page)
    for at in (0, 2):
        page.locator(".tile").nth(at).click()
        page.evaluate(_PRESS, "n")
        page.evaluate(f"(text) => {{ const state = JSON.parse(text); {order} }}", tiles_state())
    assert [save["ids"] for save in sent_saves(page)] == [["s0"], ["s2"]]
    assert page.locator(".tile.saving").count() == 2
    results = {sent_saves(page)[0]["name"]: {"text": "Saved", "error": False}}
    page.evaluate("(text) => { call(box, JSON.parse(text)); }", tiles_state(results))
    assert page.locator(".tile.saving").count() == 1


def test_new_element_takes_over_marks_and_unconfirmed_saves(page: Page) -> None:
    open_tiles(page)
    page.locator(".tile").nth(0).click()
    page.evaluate(_PRESS, "n")
    page.locator(".tile").nth(2).click()
    first = sent_saves(page)
    page.evaluate("box.remove(); ended(); sent.length = 0")
    page.evaluate("(text) => { window.box = put(); window.ended = call(box, JSON.parse(text)); }", tiles_state())
    assert sent_saves(page) == first  # again, under the same name: the server writes it once
    assert marked(page) == ["s2"]
    page.evaluate(_PRESS, "n")  # one page listens, not two
    assert [save["ids"] for save in sent_saves(page)] == [["s0"], ["s2"]]
    page.evaluate("box.remove(); ended()")
    page.evaluate("(text) => { window.box = put(); call(box, JSON.parse(text)); }", tiles_state(token="b 0"))
    assert marked(page) == []  # other photos
    assert len(sent_saves(page)) == 2


def test_removed_element_listens_to_no_key(page: Page) -> None:
    open_tiles(page)
    page.locator(".tile").nth(1).click()
    page.evaluate("box.remove(); ended()")
    page.evaluate(_PRESS, "n")
    assert sent_saves(page) == []


@pytest.mark.parametrize("order", ["ended(); call(root, state)", "call(root, state); ended()"])
def test_review_listens_after_a_replaced_state(page: Page, order: str) -> None:
    folder = Path(review_module.__file__).parent
    page.goto("about:blank")
    page.evaluate(_LOAD, shell.browser_script(folder / "review.js"))
    state = json.dumps({
        "session": "s", "seq": 0, "annotator": "Kim", "error": "", "saved": "", "current": None, "prefetched": [],
        "people": {}, "pictures": {}, "savedPeople": [], "progress": "", "shareDone": 0, "empty": "No people are left.",
        "ageClasses": [{"name": "<30", "first": 0, "last": 29}] * 3, "maxAge": 116,
        "keyboard": shell.keyboard(shell.REVIEW),
    })  # fmt: skip
    page.evaluate(
        """([html, text]) => {
          window.root = put();
          root.innerHTML = html;
          window.state = JSON.parse(text);
          window.ended = call(root, state);
        }""",
        [(folder / "review.html").read_text("utf8"), state],
    )
    page.evaluate(order)
    page.evaluate("window.dispatchEvent(new KeyboardEvent('keydown', { key: '?', bubbles: true, composed: true }))")
    assert page.locator(".help").is_visible()
