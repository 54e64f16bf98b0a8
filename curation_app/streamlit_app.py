"""What `streamlit run curation_app` runs: at the start as the server, and then for each visit to a page."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[1])
if sys.path[0] != ROOT:  # Streamlit puts curation_app/ there, from which the toolkit's packages cannot be imported
    sys.path.insert(0, ROOT)

import streamlit as st

from curation_app.shell import session


def load_pages() -> Callable[[str], None]:
    """Import the pages (not before there is a server, which their caches look for); what then reads a manifest."""
    from curation_app import navigation

    return navigation.warm


if __name__ == "__main__":  # a visit
    from curation_app import navigation

    navigation.draw()
elif __name__ != "__mp_main__":  # the server, which finds `app` by reading this file; not a worker that it spawned
    app = st.App(__file__, lifespan=session.warming(load_pages))
