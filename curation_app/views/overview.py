"""The Overview page."""

from __future__ import annotations

import streamlit as st

from curation_app import session


def page() -> None:
    desk = session.desk()
    st.header("Overview")
    st.write(len(desk.faces.people))
