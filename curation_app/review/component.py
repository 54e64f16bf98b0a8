"""The review page in the browser, a Streamlit component: one person's shots, the keys, and saving before moving on.

The page gives it `data` (see `ReviewSession.view`) and gets back two values, each with its latest message:

    act   {act: accept | unsure | next | previous | undo, seq, session, person, shots, note, have}
    more  {have}: the pictures of the people who come next are wanted

`shots` is each shot as shown on the screen: sample_id, sha256, seen, mask, gender, age, exclude. `have` lists the
people whose pictures the browser holds.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from curation_app.shell import browser_script

_FOLDER = Path(__file__).parent

review_component = st.components.v2.component(
    "review",
    html=(_FOLDER / "review.html").read_text("utf8"),
    css=(_FOLDER / "review.css").read_text("utf8"),
    js=browser_script(_FOLDER / "review.js"),
)
