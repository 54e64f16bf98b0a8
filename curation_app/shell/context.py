"""The workspace, the chosen version and the annotator of the current browser session."""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from curation_app.images import ManifestRows, load_manifest_rows
from data_manifests.corrections import is_name
from data_manifests.errors import ManifestError, ToolkitError
from data_manifests.versions import Store


@dataclass(frozen=True)
class AppContext:
    """One annotator at one version of a manifest."""

    store: Store
    manifest: ManifestRows
    annotator: str  # empty: read only


def current_store() -> Store:
    """Return the workspace: `streamlit run curation_app -- --workspace FOLDER`, else $WORKSPACE, else workspace/."""
    return Store(Path(arguments().workspace))


def chosen_ref() -> str:
    """Return the version chosen in the sidebar, such as `faces@3`. Raises ManifestError if the workspace has none."""
    ref = str(st.session_state.get("ref", ""))
    if not ref:
        raise ManifestError(
            f"there is no manifest in {current_store().workspace} yet. Make one with: facecurate doctor PHOTOS"
        )
    return ref


def app_context() -> AppContext:
    """Return the chosen version with its rows, and the annotator. Raises ManifestError as `chosen_ref`."""
    return AppContext(current_store(), load_rows(chosen_ref()), current_annotator())


def load_rows(ref: str) -> ManifestRows:
    """Return the rows of a version. They are read once and shared by all sessions."""
    version = current_store().version(ref)
    return _load_rows(str(current_store().workspace), version.ref, version.content_hash)


@st.cache_resource(max_entries=2, show_spinner="Reading the manifest …")
def _load_rows(workspace: str, ref: str, content_hash: str) -> ManifestRows:
    return load_manifest_rows(Store(Path(workspace)), ref)


def current_annotator() -> str:
    """Return the account that is signed in if `[auth]` is configured, else the name typed in the sidebar."""
    if has_sign_in():
        if not st.user.get("is_logged_in"):
            return ""
        name = str(st.user.get("email") or st.user.get("name") or st.user.get("sub"))
        return name if is_name(name) else "user " + re.sub(r"[;()\s]+", " ", name).strip()
    return str(st.session_state.get("annotator", ""))


def has_annotator() -> bool:
    """Return whether the annotator is known already, from the address, the session or the sign-in."""
    return bool(st.session_state.get("annotator") or st.query_params.get("by")) or has_sign_in()


def has_sign_in() -> bool:
    """Return whether an OpenID Connect provider is configured in Streamlit's secrets."""
    try:
        return "auth" in st.secrets
    except FileNotFoundError:
        return False


def lifespan(
    load_pages: Callable[[], Callable[[str], None]],
) -> Callable[[st.App], AbstractAsyncContextManager[None]]:
    """Return the server's lifespan: import the pages, then fill their caches for the first manifest in the background.

    `load_pages` imports the pages and returns a function that reads what they need of a version.
    """

    def fill_caches(read: Callable[[str], None]) -> None:
        logging.getLogger("streamlit.runtime.scriptrunner_utils.script_run_context").setLevel(logging.ERROR)  # no page
        with suppress(ToolkitError):  # the page reports it
            read(arguments().manifest or newest_manifest(current_store()))

    @asynccontextmanager
    async def running(_app: st.App) -> AsyncIterator[None]:
        threading.Thread(target=fill_caches, args=[load_pages()], daemon=True).start()  # visitors need not wait for it
        yield

    return running


def newest_manifest(store: Store) -> str:
    """Return the name of the manifest with the newest version, which the user most likely means; empty if none."""
    readable = [versions for name in store.names() if (versions := store.readable(name)[0])]
    newest = [versions[-1] for versions in readable]
    return max(newest, key=lambda one: one.created).name if newest else next(iter(store.names()), "")


def arguments() -> argparse.Namespace:
    """Parse the options after `streamlit run curation_app --`."""
    parser = argparse.ArgumentParser(prog="streamlit run curation_app --")
    parser.add_argument("--manifest", default="", help="open this version, such as faces@curated")
    parser.add_argument("--workspace", default=os.environ.get("WORKSPACE", "workspace"))
    return parser.parse_known_args(sys.argv[1:])[0]
