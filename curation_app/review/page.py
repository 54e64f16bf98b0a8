"""The Review page: one person's shots side by side, accepted with one key."""

from __future__ import annotations

from typing import Any

import streamlit as st

from curation_app import shell
from curation_app.annotations import log_folder, log_paths
from curation_app.images import ManifestRows
from curation_app.review.component import review_component
from curation_app.review.context import ReviewContext, open_review_context
from curation_app.review.leases import ALL_ANNOTATORS, read_annotators_per_person, write_annotators_per_person
from curation_app.review.order import KINDS, Queue, is_ranked, label_groups
from curation_app.review.session import ReviewSession
from curation_app.shell import AppContext
from data_manifests.errors import ManifestError
from data_manifests.versions import Store

_COMPONENT = "review"
_SESSION = "review_session"
_ANNOTATORS_PER_PERSON = {1: "one annotator", 2: "two", 3: "three", ALL_ANNOTATORS: "all annotators"}
_MAX_PROBLEMS = 5


def page() -> None:
    """Draw the page."""
    context = shell.app_context()
    queue = _choose_queue(context.manifest)
    session = _review_session(context, queue, _choose_annotators_per_person(context))
    session.have = frozenset()  # the page is drawn anew, and the browser may have lost its pictures
    for problem in session.context.progress.problems[:_MAX_PROBLEMS]:
        folder = log_folder(context.store, context.manifest.version)
        text = shell.escape_markdown(f"{problem} Repair or delete the line in {folder}; it is skipped.")
        st.warning(text, icon=":material/warning:")
    _draw_component()


def warm(ref: str) -> None:
    """Fill the caches of the page: read a version and its logs."""
    context = _review_context(shell.current_store(), shell.load_rows(ref))
    context.progress.refresh(log_paths(context.store, context.manifest.version))


@st.fragment
def _draw_component() -> None:
    """Draw the component in a fragment, so that a message of the browser does not run the rest of the page."""
    session: ReviewSession = st.session_state[_SESSION]
    review_component(key=_COMPONENT, data=session.view(), on_act_change=_on_act, on_more_change=_on_more)


def _on_act() -> None:
    message = st.session_state[_COMPONENT].act
    if message:
        st.session_state[_SESSION].act(message)


def _on_more() -> None:
    message = st.session_state[_COMPONENT].more
    if message:
        st.session_state[_SESSION].have = frozenset(message["have"])


def _choose_queue(manifest: ManifestRows) -> Queue:
    """Draw the choice of the queue, which is also in the page's address."""
    left, right, _ = st.columns([2, 4, 3], vertical_alignment="bottom")
    kinds = list(KINDS)
    asked = st.query_params.get("queue", "suspicion")
    kind = left.selectbox(
        "Order",
        kinds,
        index=kinds.index(asked) if asked in kinds else 0,
        format_func=KINDS.__getitem__,
        label_visibility="collapsed",
    )
    at = _choose_parameter(manifest, kind, right)
    st.query_params["queue"] = kind
    if at:
        st.query_params["at"] = at
    else:
        st.query_params.pop("at", None)
    if kind == "person" and not at:
        raise ManifestError("enter the id of a person above.")
    return Queue(kind, at)


def _choose_parameter(manifest: ManifestRows, kind: str, column: Any) -> str:
    asked = st.query_params.get("at", "")
    if kind == "class":
        names = _label_groups(manifest, str(shell.current_store().workspace), manifest.version.pinned)
        index = list(names).index(asked) if asked in names else 0
        return column.selectbox(
            "Label", list(names), index=index, format_func=names.__getitem__, label_visibility="collapsed"
        )
    if kind in ("id", "person"):
        hint = "start at this id (empty: the first)" if kind == "id" else "person_id"
        return column.text_input("Id", asked, placeholder=hint, label_visibility="collapsed", key=f"at_{kind}").strip()
    if kind == "suspicion" and not is_ranked(manifest):
        ref = shell.escape_markdown(manifest.version.ref)
        column.caption(f"No audit yet, so the order is by id. Run: `facecurate audit run {ref}`")
    return ""


@st.cache_data(max_entries=2, show_spinner=False)
def _label_groups(_manifest: ManifestRows, workspace: str, pinned: str) -> dict[str, str]:
    return label_groups(_manifest)


def _choose_annotators_per_person(context: AppContext) -> int:
    """Draw the setting of the manifest for how many annotators see each person, which holds for all annotators."""
    folder = log_folder(context.store, context.manifest.version)
    current = read_annotators_per_person(folder)
    with st.sidebar.expander("Sharing the work"):
        choices = list(dict.fromkeys([*_ANNOTATORS_PER_PERSON, current]))
        chosen = st.selectbox(
            "Each person is seen by",
            choices,
            index=choices.index(current),
            format_func=lambda number: _ANNOTATORS_PER_PERSON.get(number, str(number)),
            help="Choose two or more to measure agreement. The setting holds for all annotators of this manifest.",
        )
    if chosen != current:
        write_annotators_per_person(folder, chosen)
    return chosen


def _review_session(context: AppContext, queue: Queue, annotators_per_person: int) -> ReviewSession:
    """Return the session of this tab, a new one if version, annotator, queue or setting have changed."""
    version = context.manifest.version.pinned
    old: ReviewSession | None = st.session_state.get(_SESSION)
    if old:
        same = (old.context.manifest.version.pinned, old.annotator, old.queue, old.annotators_per_person)
        if same == (version, context.annotator, queue, annotators_per_person):
            return old
        old.leave()
    shared = _review_context(context.store, context.manifest)
    session = ReviewSession(shared, context.annotator, queue, annotators_per_person)
    st.session_state[_SESSION] = session
    return session


def _review_context(store: Store, manifest: ManifestRows) -> ReviewContext:
    return _cached_review_context(str(store.workspace.resolve()), manifest.version.pinned, store, manifest)


@st.cache_resource(max_entries=2, show_spinner=False)
def _cached_review_context(workspace: str, pinned: str, _store: Store, _manifest: ManifestRows) -> ReviewContext:
    return open_review_context(_store, _manifest)
