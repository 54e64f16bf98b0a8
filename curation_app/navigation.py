"""The frame around the pages: the menu, the sidebar and the style."""

from __future__ import annotations

import time
from pathlib import Path

import streamlit as st

from curation_app import agreement, grid, overview, review, runs, shell, synthetic, versions

ICON = str(Path(__file__).with_name("icon.svg"))
_FIRST_PICTURES_S = 4  # two cores are not enough for both
# Streamlit's own margins take a fifth of a small screen. Its white text is illegible on the light blue of the dark
# theme.
STYLE = """<style>
.stMainBlockContainer { padding: 4.2rem 1.6rem 1rem; }
button[data-testid="stBaseButton-primary"] { color: light-dark(#fbfaf8, #16181b); }
</style>"""


def warm(ref: str) -> None:
    """Fill the caches for a version: those of the review page, and once its pictures have had time, the others."""
    review.warm(ref)
    time.sleep(_FIRST_PICTURES_S)
    for page in (grid, overview, synthetic):
        page.warm(ref)


def draw() -> None:
    """Draw the page that the visitor chose, with the menu and the sidebar."""
    st.set_page_config(
        page_title="Face curation",
        page_icon=ICON,  # a file: a named icon would be fetched from outside
        layout="wide",
        initial_sidebar_state="collapsed" if shell.has_annotator() else "expanded",
    )
    st.html(STYLE)
    pages = [
        st.Page(review.page, title="Review", icon=":material/rate_review:", default=True),
        st.Page(grid.page, title="Grid", icon=":material/grid_view:", url_path="grid"),
        st.Page(overview.page, title="Overview", icon=":material/bar_chart:", url_path="overview"),
        st.Page(agreement.page, title="Agreement", icon=":material/handshake:", url_path="agreement"),
        st.Page(versions.page, title="Versions", icon=":material/account_tree:", url_path="versions"),
        st.Page(synthetic.page, title="Synthetic", icon=":material/masks:", url_path="synthetic"),
        st.Page(runs.page, title="Runs", icon=":material/model_training:", url_path="runs"),
    ]
    chosen = st.navigation(pages, position="top")
    shell.draw_sidebar()
    with shell.show_errors():
        chosen.run()
