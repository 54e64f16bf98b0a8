"""What `streamlit run curation_app` runs: at the start as the server, and then for each visit to a page."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[1])
if sys.path[0] != ROOT:  # Streamlit puts curation_app/ there, from which the toolkit's packages cannot be imported
    sys.path.insert(0, ROOT)

import streamlit as st

from curation_app import session


def warm(ref: str) -> None:
    """Load the pages and the manifest that opens first; not before the server is there, which their caches look for."""
    from curation_app import frame

    frame.review.warm(ref)


if __name__ == "__main__":  # a visit
    from curation_app import frame

    frame.draw()
elif __name__ != "__mp_main__":  # the server, which finds `app` by reading this file; not a worker that it spawned
    app = st.App(__file__, lifespan=session.warming(warm))
