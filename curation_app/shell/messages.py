"""Error messages and plain text on a page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
