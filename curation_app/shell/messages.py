"""Error messages and plain text on a page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import streamlit as st

from data_manifests.errors import ToolkitError

_MARKDOWN = frozenset(r"\`*_{}[]()#+-.!|$<>~:&")


@contextmanager
def show_errors() -> Iterator[None]:
    """Show a ToolkitError raised inside as one line on the page; the rest of the page is still drawn."""
    try:
        yield
    except ToolkitError as error:
        st.error(escape_markdown(str(error)), icon=":material/error:")


def escape_markdown(text: str) -> str:
    """Return text from a manifest, a file or a note with Streamlit's Markdown characters escaped."""
    return "".join(f"\\{letter}" if letter in _MARKDOWN else letter for letter in text)


def draw_welcome(workspace: Path) -> None:
    """Draw what to do first in a workspace without a manifest."""
    st.header("No photos yet")
    st.markdown(
        f"The workspace {escape_markdown(str(workspace))} has no manifest. Name a folder of photos, or a CSV that "
        "lists them, in a terminal. The command finds out which labels they have, makes the first version and checks "
        "it:"
    )
    st.code("facecurate doctor PHOTOS", language=None)
    st.markdown("Then reload this page. Photos without any label are fine: label them on the Grid page.")
