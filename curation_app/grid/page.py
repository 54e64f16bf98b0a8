"""The Grid page: many pictures of one class at a time, the wrong ones marked and corrected together; duplicates."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import streamlit as st

from curation_app import shell, tiles
from curation_app.grid import duplicates_tab
from curation_app.grid.filters import NothingToChoose, choose_selection
from curation_app.shell import AppContext
from curation_app.tiles import (
    INCLUDE,
    LABELS,
    Action,
    Row,
    accept_suggestions,
    confirm_labels,
    relabel_actions,
    text_of,
)
from data_manifests.taxonomy import AgeCuts

KEY = "grid"
VIEWS = {
    "labelled": "By label",
    "suspected": "Suspected by the audit",
    "predicted": "Predicted by a run",
    "duplicates": "Duplicates",
    "excluded": "Excluded",
}


def page() -> None:
    """Draw the page in one fragment, so that marking and paging do not run the sidebar again."""
    _page()


def warm(ref: str) -> None:
    """Fill the caches of the page: read the label columns of a version."""
    tiles.labels(AppContext(shell.current_store(), shell.load_rows(ref), ""))


@st.fragment
def _page() -> None:
    with shell.show_errors():
        context = shell.app_context()
        with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
            view = st.segmented_control(
                "Show", list(VIEWS), format_func=VIEWS.__getitem__, default="labelled", required=True, key="grid show",
                label_visibility="collapsed",
            )  # fmt: skip
            hide = st.toggle("Hide my finished photos", key="grid hide")
        actions = _all_actions(context.manifest.cuts)
        results = tiles.handle_saves(KEY, lambda asked: tiles.save(context, asked, actions))
        if view in ("suspected", "duplicates") and not tiles.labels(context).is_audited:
            ref = context.manifest.version.ref
            _draw_note(f"{ref} has no audit. Run: facecurate audit run {ref}")
        elif view == "duplicates":
            duplicates_tab.draw_duplicates(context, KEY, hide=hide, results=results)
        else:
            try:
                _draw_photos(context, view, hide=hide, results=results)
            except NothingToChoose as none:
                _draw_note(str(none))


def _draw_note(text: str) -> None:
    st.info(shell.escape_markdown(text), icon=":material/info:")


# -- photos of one class ----------------------------------------------------------------------------------------------
def _draw_photos(context: AppContext, view: str, *, hide: bool, results: Mapping[str, Any]) -> None:
    selection, size = choose_selection(context, view, hide)
    page = tiles.current_page(KEY, selection.name, len(selection.rows), size, "photos")
    annotations = tiles.annotator_log(context)
    shown, following = (selection.rows[page.first + start :][:size] for start in (0, size))
    rows, pictures = tiles.thumbnails(context, shown, following)
    tiles.show_tiles(
        KEY,
        selection=selection.name,
        page=page,
        tiles=[
            tiles.tile_of(row, picture, annotations, context, _hint(row, view, selection.fields, context.manifest.cuts))
            for row, picture in zip(rows, pictures, strict=True)
        ],
        manifest=context.manifest.version.pinned,
        empty=selection.empty,
        actions=selection.actions,
        results=results,
        undo=tiles.undo_of(annotations, KEY),
        enlarged=tiles.enlarged_picture(context, tiles.enlarged_sample(KEY)),
        why_not=tiles.why_not(context),
    )


def _all_actions(cuts: AgeCuts) -> list[Action]:
    """Return every action that the browser may ask for on this page."""
    fields = [tasks for size in (1, 2, 3) for tasks in combinations(LABELS, size)]
    return [
        *relabel_actions(cuts),
        *map(confirm_labels, fields),
        *map(accept_suggestions, fields),
        INCLUDE,
        *duplicates_tab.ACTIONS,
    ]


def _hint(row: Row, view: str, fields: tuple[str, ...], cuts: AgeCuts) -> str:
    """Return the labels that the audit suggests for the fields in question, as text."""
    if view == "excluded":
        return row["reason"] or ""
    suggestions = [(field, row[f"suggested_{field}"]) for field in fields]
    texts = [text_of(field, str(new), cuts) for field, new in suggestions if new is not None]
    return f"predicted {', '.join(texts)}" if texts else ""
