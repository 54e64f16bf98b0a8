"""Many small photos on a page, to be marked and settled together: a Streamlit component and what it is told.

The browser gives back three values that stay until it changes them:

    saves  [{name, manifest, action, ids}]   what was done and is not confirmed yet; see `settle`
    page   {of, page}                        which page of which choice
    look   sample_id                         which photo to show large, or null
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from curation_app.tiles.actions import Action
from data_manifests.errors import ToolkitError

_HERE = Path(__file__).parent

_component = st.components.v2.component(
    "tiles", css=(_HERE / "tiles.css").read_text("utf8"), js=(_HERE / "tiles.js").read_text("utf8")
)

Tile = dict[str, Any]
"""id; src or problem; w, h of the picture; texts head, label, hint, more, said; perhaps before (a second picture), out
(is excluded), group (number), href."""


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
    """Tiles that belong together."""

    title: str
    flags: list[str]


def page_of(key: str, choice: str, total: int, size: int, noun: str) -> Page:
    """The page that the browser is at; the first one of a new choice."""
    asked = _state(key).get("page") or {}
    pages = -(-total // size)
    number = int(asked["page"]) if asked.get("of") == choice else 0
    number = max(0, min(number, pages - 1))
    return Page(number, pages, number * size, min(size, total - number * size), total, noun)


def settle(key: str, do: Callable[[Mapping[str, Any]], str]) -> dict[str, Any]:
    """Do what the browser has asked for and not been told about; `do` returns what to say when it is on the disk.

    To be called before the page is read, so that it shows what was saved.
    """
    known = st.session_state.get(f"{key}: done", {})
    asked = {save["name"]: save for save in _state(key).get("saves") or []}
    done = {name: known[name] for name in asked if name in known}
    for name, save in asked.items():
        if name not in done:
            try:
                done[name] = {"text": do(save), "error": False}
            except ToolkitError as error:
                done[name] = {"text": f"Nothing was saved: {error}", "error": True}
            except OSError as error:
                done[name] = {"text": f"Nothing was saved: {error.strerror} ({error.filename}).", "error": True}
    st.session_state[f"{key}: done"] = done
    return done


def kind_of(key: str) -> str:
    """The letter with which the names of this page's saves begin."""
    return key[0]


def looked_at(key: str) -> str:
    """The photo that is to be shown large; empty if none is."""
    return str(_state(key).get("look") or "")


def show(
    key: str,
    *,
    choice: str,
    page: Page,
    tiles: Sequence[Tile],
    manifest: str,
    empty: str,
    actions: Sequence[Action] = (),
    groups: Sequence[Group] | None = None,
    done: Mapping[str, Any] | None = None,
    undo: Mapping[str, str] | None = None,
    look: Mapping[str, Any] | None = None,
    why_not: str = "",
) -> None:
    """Draw the page. `why_not` says why nothing can be said, `undo` (name, text) what undoing would take back."""
    data = {
        "choice": choice,
        "token": f"{choice} {page.number}",
        "kind": kind_of(key),
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
        "may": not why_not,
        "why": why_not,
        "done": dict(done or {}),
        "undo": dict(undo) if undo else None,
        "look": look,
        "empty": empty,
    }
    _component(key=key, data=data, on_saves_change=_nothing, on_page_change=_nothing, on_look_change=_nothing)


def _nothing() -> None:
    """A value is read where the page is made; Streamlit wants a function for each."""


def _state(key: str) -> Mapping[str, Any]:
    return st.session_state.get(key) or {}
