"""The component of many pictures, in Streamlit's test bench and in Chromium."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Locator, Page, expect
from streamlit.testing.v1 import AppTest

PATIENCE_MS = 120_000  # for a busy machine; nothing is measured by it


def tiles_data(bench: AppTest) -> dict[str, Any]:
    """Return the data that the page gave to the component."""
    assert not bench.exception, [one.value for one in bench.exception]
    [component] = bench.get("bidi_component")
    return json.loads(component.proto.json)


def send(bench: AppTest, key: str, action: str, ids: list[str], name: str = "") -> dict[str, Any]:
    """Ask for a save as the browser does, and return its result."""
    data = tiles_data(bench)
    name = name or f"{data['prefix']}{abs(hash((action, *ids))):016x}"
    save = {"name": name, "manifest": data["manifest"], "action": action, "ids": ids}
    bench.session_state[key] = {"saves": [save]}
    return tiles_data(bench.run())["results"][name]


def tiles(page: Page, count: int) -> Locator:
    """Return the tiles on the screen, once all their pictures are loaded."""
    found = page.locator(".tile")
    expect(found).to_have_count(count, timeout=PATIENCE_MS)
    expect(page.locator(".tile .frame img")).to_have_count(count, timeout=PATIENCE_MS)
    return found


def status(page: Page, text: str) -> None:
    """Wait for a text in the toolbar."""
    expect(page.locator(".toolbar .status")).to_contain_text(text, timeout=PATIENCE_MS)
