"""The script of `streamlit run curation_app`: started once as the server, then run for each visit to a page."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[1])
if sys.path[0] != ROOT:  # Streamlit puts curation_app/ there, from which the toolkit's packages cannot be imported
    sys.path.insert(0, ROOT)

import streamlit as st

from curation_app import shell


def load_pages() -> Callable[[str], None]:
    """Import the pages and return a function that fills their caches. Their caches need a running server."""
    from curation_app import navigation

    return navigation.warm


if __name__ == "__main__":  # a visit
    from curation_app import navigation

    navigation.draw()
elif __name__ != "__mp_main__":  # the server finds `app` by reading this file; a spawned worker needs none
    app = st.App(__file__, lifespan=shell.lifespan(load_pages))
