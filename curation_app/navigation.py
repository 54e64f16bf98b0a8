"""The table of pages, and the frame around them: menu, sidebar and style."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from curation_app import agreement, grid, overview, review, runs, shell, synthetic, versions

ICON = str(Path(__file__).with_name("icon.svg"))
_FIRST_PICTURES_S = 4  # two cores are not enough for both
_QUIET_S, _MAX_WAIT_S = 2.0, 30.0  # so long nobody opens a page before the caches of another one are filled
_latest_visit = 0.0  # time.monotonic()
# Streamlit's own margins take a fifth of a small screen. Its white text is illegible on the light blue of the dark
# theme.
STYLE = """<style>
.stMainBlockContainer { padding: 4.2rem 1.6rem 1rem; }
button[data-testid="stBaseButton-primary"] { color: light-dark(#fbfaf8, #16181b); }
</style>"""


@dataclass(frozen=True)
class Page:
    """A row of PAGES: the function that draws a page, and its entry in the menu."""

    draw: Callable[[], None]
    title: str
    icon: str  # a Material symbol
    url_path: str = ""  # empty for the page that opens first


PAGES = (
    Page(review.page, "Review", "rate_review"),
    Page(grid.page, "Grid", "grid_view", "grid"),
    Page(overview.page, "Overview", "bar_chart", "overview"),
    Page(agreement.page, "Agreement", "handshake", "agreement"),
    Page(versions.page, "Versions", "account_tree", "versions"),
    Page(synthetic.page, "Synthetic", "masks", "synthetic"),
    Page(runs.page, "Runs", "model_training", "runs"),
)


def menu() -> list[StreamlitPage]:
    """Return the entries of the menu, in the order of PAGES."""
    return [
        st.Page(
            one.draw,
            title=one.title,
            icon=f":material/{one.icon}:",
            url_path=one.url_path or None,
            default=not one.url_path,
        )
        for one in PAGES
    ]


def warm(ref: str) -> None:
    """Fill the caches for a version: those of the review page, and once its pictures have had time, the others."""
    review.warm(ref)
    time.sleep(_FIRST_PICTURES_S)
    for page in (grid, overview, synthetic):
        _wait_for_quiet()
        page.warm(ref)


def _wait_for_quiet() -> None:
    """Return once no page was opened for a while, as filling a cache takes the processor from a visitor."""
    end = time.monotonic() + _MAX_WAIT_S
    while time.monotonic() < min(end, _latest_visit + _QUIET_S):
        time.sleep(0.1)


def draw() -> None:
    """Draw the page that the visitor chose, with the menu and the sidebar."""
    global _latest_visit
    _latest_visit = time.monotonic()
    st.set_page_config(
        page_title="Face curation",
        page_icon=ICON,  # a file: a named icon would be fetched from outside
        layout="wide",
        initial_sidebar_state="collapsed" if shell.has_annotator() else "expanded",
    )
    st.html(STYLE)
    chosen = st.navigation(menu(), position="top")
    shell.draw_sidebar()
    with shell.show_errors():
        store = shell.current_store()
        if store.names():
            chosen.run()
        else:
            shell.draw_welcome(store.workspace)
