"""The sidebar: the version to work on and the annotator's name."""

from __future__ import annotations

import streamlit as st

from curation_app.shell.context import arguments, current_annotator, current_store, has_sign_in, newest_manifest
from curation_app.shell.messages import escape_markdown, show_errors
from data_manifests.corrections import is_name
from data_manifests.errors import ManifestError
from data_manifests.versions import Version


def draw_sidebar() -> None:
    """Draw the choice of version and annotator. The page's address keeps both, for a reload or a bookmark."""
    with st.sidebar, show_errors():
        _choose_version()
        _choose_annotator()


def _choose_version() -> None:
    store = current_store()
    names = store.names()
    if not names:
        return
    asked = st.session_state.get("ref") or arguments().manifest or st.query_params.get("manifest", "")
    asked = asked or newest_manifest(store)
    current: Version | None = None
    with show_errors():  # if this version is gone or broken, another one can still be chosen
        current = store.version(asked)
    index: int = names.index(current.name) if current and current.name in names else 0
    name = st.selectbox("Manifest", names, index=index)
    readable, problems = store.readable(name)
    for problem in problems:
        st.error(escape_markdown(problem), icon=":material/error:")
    if not readable:
        st.session_state.pop("ref", None)
        return
    versions = {version.ref: version for version in reversed(readable)}
    tags = {number: tag for tag, number in store.tags(name).items()}

    def title(ref: str) -> str:
        version = versions[ref]
        return f"{version.number} · {tags.get(version.number, version.operation)} · {version.rows:,} rows"

    index = list(versions).index(current.ref) if current and current.ref in versions else 0
    ref = st.selectbox("Version", list(versions), index=index, format_func=title)
    st.session_state["ref"] = st.query_params["manifest"] = ref


def _choose_annotator() -> None:
    if has_sign_in():
        if st.user.get("is_logged_in"):
            st.caption(f"Signed in as {escape_markdown(current_annotator())}")
            st.button("Sign out", on_click=st.logout)
        else:
            st.button("Sign in", on_click=st.login, type="primary")
        return
    typed = st.text_input(
        "Your name",
        value=st.session_state.get("annotator") or st.query_params.get("by", ""),
        placeholder="needed to save corrections",
    ).strip()
    if typed and not is_name(typed):
        raise ManifestError("a name begins with a letter or digit and has no ; or brackets.")
    st.session_state["annotator"] = typed
    if typed:
        st.query_params["by"] = typed
