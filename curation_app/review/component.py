"""The review desk in the browser, as a Streamlit component: one person's shots, keys, and a protocol that saves first.

The page gives it `data` and gets back two values, each with its latest message:

    act   {act: settle | unsure | next | back | undo, seq, sitting, person, shots, note, have}
    more  {have}: the pictures of people to come are wanted; `have` lists the people whose pictures are there

`shots` is each shot as it stood on the screen: sample_id, sha256, seen, mask, gender, age, exclude.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_HERE = Path(__file__).parent

review_desk = st.components.v2.component(
    "review_desk",
    html=(_HERE / "review.html").read_text("utf8"),
    css=(_HERE / "review.css").read_text("utf8"),
    js=(_HERE / "review.js").read_text("utf8"),
)
