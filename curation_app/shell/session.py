"""What every page asks first: which workspace, which version, who is looking."""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from curation_app.images import Faces, load_faces
from data_manifests.corrections import is_name
from data_manifests.errors import ManifestError, ToolkitError
from data_manifests.versions import Store, Version


@dataclass(frozen=True)
class Desk:
    """One annotator at one version."""

    store: Store
    faces: Faces
    annotator: str  # empty: looking only


def store() -> Store:
    """The workspace named by `streamlit run curation_app -- --workspace FOLDER`, else $WORKSPACE, else workspace/."""
    return Store(Path(_arguments().workspace))


def chosen() -> str:
    """The version chosen in the sidebar, as `faces@3`. Raises ManifestError if there is none to choose."""
    ref = str(st.session_state.get("ref", ""))
    if not ref:
        raise ManifestError(
            f"there is no manifest in {store().workspace} yet. "
            "Make one with: python -m data_manifests ingest SRC --layout profiles --name faces"
        )
    return ref


def desk() -> Desk:
    """The version chosen in the sidebar with its rows. Raises ManifestError as `chosen`."""
    return Desk(store(), faces_of(chosen()), annotator())


def faces_of(ref: str) -> Faces:
    """The rows of a version, read once for all sessions."""
    version = store().version(ref)
    return _load(str(store().workspace), version.ref, version.content_hash)


@st.cache_resource(max_entries=2, show_spinner="Reading the manifest …")
def _load(workspace: str, ref: str, content_hash: str) -> Faces:
    return load_faces(Store(Path(workspace)), ref)


def annotator() -> str:
    """Who looks: the account that is signed in where `[auth]` is configured, else the name that was typed."""
    if _has_sign_in():
        if not st.user.get("is_logged_in"):
            return ""
        name = str(st.user.get("email") or st.user.get("name") or st.user.get("sub"))
        return name if is_name(name) else "user " + re.sub(r"[;()\s]+", " ", name).strip()
    return str(st.session_state.get("annotator", ""))


def is_settled() -> bool:
    """Whether the page's address or this session says who looks, so that the side bar need not be open."""
    return bool(st.session_state.get("annotator") or st.query_params.get("by")) or _has_sign_in()


def sidebar() -> None:
    """Choose the version, say who you are. Both stand in the page's address, so a reload or a bookmark keeps them."""
    with st.sidebar, errors_on_the_page():
        _choose_version()
        _sign_in()


def warming(load: Callable[[], Callable[[str], None]]) -> Callable[[st.App], AbstractAsyncContextManager[None]]:
    """What the server does while it runs: `load` the pages, then read the manifest that opens first, unasked."""

    def begin(read: Callable[[str], None]) -> None:
        logging.getLogger("streamlit.runtime.scriptrunner_utils.script_run_context").setLevel(logging.ERROR)  # no page
        with suppress(ToolkitError):  # the page will tell
            read(_arguments().manifest or next(iter(store().names()), ""))

    @asynccontextmanager
    async def running(_app: st.App) -> AsyncIterator[None]:
        threading.Thread(target=begin, args=[load()], daemon=True).start()  # visitors need not wait for it
        yield

    return running


@contextmanager
def errors_on_the_page() -> Iterator[None]:
    """A user's mistake is one line on the page; the rest of the desk goes on."""
    try:
        yield
    except ToolkitError as error:
        st.error(plain(str(error)), icon=":material/error:")


def plain(text: str) -> str:
    """Text from a manifest or a note, safe from Streamlit's Markdown."""
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]()#+-.!|$<>~:&" else letter for letter in text)


def _choose_version() -> None:
    home = store()
    names = home.names()
    if not names:
        return
    asked = st.session_state.get("ref") or _arguments().manifest or st.query_params.get("manifest", "") or names[0]
    at: Version | None = None
    with errors_on_the_page():  # a version that is gone or broken is told; the others can still be chosen
        at = home.version(asked)
    place: int = names.index(at.name) if at and at.name in names else 0
    name = st.selectbox("Manifest", names, index=place)
    readable, problems = home.readable(name)
    for problem in problems:
        st.error(plain(problem), icon=":material/error:")
    if not readable:
        st.session_state.pop("ref", None)
        return
    versions = {version.ref: version for version in reversed(readable)}
    tags = {number: tag for tag, number in home.tags(name).items()}

    def title(ref: str) -> str:
        version = versions[ref]
        return f"{version.number} · {tags.get(version.number, version.operation)} · {version.rows:,} rows"

    index = list(versions).index(at.ref) if at and at.ref in versions else 0
    ref = st.selectbox("Version", list(versions), index=index, format_func=title)
    st.session_state["ref"] = st.query_params["manifest"] = ref


def _sign_in() -> None:
    if _has_sign_in():
        if st.user.get("is_logged_in"):
            st.caption(f"Signed in as {plain(annotator())}")
            st.button("Sign out", on_click=st.logout)
        else:
            st.button("Sign in", on_click=st.login, type="primary")
        return
    typed = st.text_input(
        "Your name",
        value=st.session_state.get("annotator") or st.query_params.get("by", ""),
        placeholder="who corrects?",
    ).strip()
    if typed and not is_name(typed):
        raise ManifestError("a name begins with a letter or digit and has no ; or brackets.")
    st.session_state["annotator"] = typed
    if typed:
        st.query_params["by"] = typed


def _has_sign_in() -> bool:
    try:
        return "auth" in st.secrets
    except FileNotFoundError:
        return False


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="streamlit run curation_app --")
    parser.add_argument("--manifest", default="", help="the version to open, such as faces@curated")
    parser.add_argument("--workspace", default=os.environ.get("WORKSPACE", "workspace"))
    return parser.parse_known_args(sys.argv[1:])[0]
