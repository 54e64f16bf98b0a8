"""A page of small pictures in the browser, a Streamlit component: pictures are marked, and one action applies to all.

The browser gives back three values that stay until it changes them:

    saves     [{name, manifest, action, ids}]   actions that are not confirmed yet; see `handle_saves`
    page      {of, page}                        the page of a selection of pictures
    enlarged  sample_id                         the picture to show large, or null
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from curation_app import shell
from curation_app.tiles.actions import Action
from data_manifests.errors import ToolkitError

_FOLDER = Path(__file__).parent

_component = st.components.v2.component(
    "tiles", css=(_FOLDER / "tiles.css").read_text("utf8"), js=shell.browser_script(_FOLDER / "tiles.js")
)

Tile = dict[str, Any]
"""id; src or problem; w, h of the picture; texts head, label, hint, more, verdict; optional: origin (a second picture),
excluded, group (number), href."""


@dataclass(frozen=True)
class Page:
    """One page of a longer list: `shown` entries from `first` on, of `total`."""

    number: int
    pages: int
    first: int
    shown: int
    total: int
    noun: str


@dataclass(frozen=True)
class Group:
    """A frame around tiles that belong together."""

    title: str
    flags: list[str]


def current_page(key: str, selection: str, total: int, size: int, noun: str) -> Page:
    """Return the page that the browser asks for; the first page of a new selection."""
    asked = _state(key).get("page") or {}
    pages = -(-total // size)
    number = int(asked["page"]) if asked.get("of") == selection else 0
    number = max(0, min(number, pages - 1))
    return Page(number, pages, number * size, min(size, total - number * size), total, noun)


def handle_saves(key: str, save: Callable[[Mapping[str, Any]], str]) -> dict[str, Any]:
    """Call `save` for each action that the browser asks for, once, and return the results by name.

    `save` returns the message to show once the action is on the disk. To be called before the page is read, so that
    the page shows the saved state.
    """
    known = st.session_state.get(f"{key}: results", {})
    asked = {action["name"]: action for action in _state(key).get("saves") or []}
    results = {name: known[name] for name in asked if name in known}
    for name, action in asked.items():
        if name not in results:
            try:
                results[name] = {"text": save(action), "error": False}
            except ToolkitError as error:
                results[name] = {"text": f"Nothing was saved: {error}", "error": True}
            except OSError as error:
                text = f"Nothing was saved: {error.strerror} ({error.filename})."
                results[name] = {"text": text, "error": True}
    st.session_state[f"{key}: results"] = results
    return results


def save_prefix(key: str) -> str:
    """Return the letter with which the names of a page's saves begin."""
    return key[0]


def enlarged_sample(key: str) -> str:
    """Return the `sample_id` of the picture to show large; empty if there is none."""
    return str(_state(key).get("enlarged") or "")


def show_tiles(
    key: str,
    *,
    selection: str,
    page: Page,
    tiles: Sequence[Tile],
    manifest: str,
    empty: str,
    actions: Sequence[Action] = (),
    groups: Sequence[Group] | None = None,
    results: Mapping[str, Any] | None = None,
    undo: Mapping[str, str] | None = None,
    enlarged: Mapping[str, Any] | None = None,
    why_not: str = "",
) -> None:
    """Draw a page of pictures with the component `key`.

    `selection` identifies the list that `page` belongs to, `manifest` the version. `why_not` is the reason why the
    actions are disabled, `undo` (name, text) the save that undo would revert.
    """
    data = {
        "selection": selection,
        "token": f"{selection} {page.number}",
        "prefix": save_prefix(key),
        "manifest": manifest,
        "tiles": list(tiles),
        "groups": None if groups is None else [{"title": group.title, "flags": group.flags} for group in groups],
        "actions": [
            {"name": action.name, "text": action.text, "key": action.key, "section": action.section}
            for action in actions
        ],
        "page": page.number,
        "pages": page.pages,
        "first": page.first,
        "shown": page.shown,
        "total": page.total,
        "noun": page.noun,
        "enabled": not why_not,
        "whyNot": why_not,
        "results": dict(results or {}),
        "undo": dict(undo) if undo else None,
        "enlarged": enlarged,
        "empty": empty,
        "keyboard": shell.keyboard(shell.TILES),
    }
    _component(key=key, data=data, on_saves_change=_ignore, on_page_change=_ignore, on_enlarged_change=_ignore)


def _ignore() -> None:
    """Do nothing: the values are read when the page is drawn, but Streamlit asks for a callback of each."""


def _state(key: str) -> Mapping[str, Any]:
    return st.session_state.get(key) or {}
