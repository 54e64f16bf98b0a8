"""The Review page: one person's shots in a strip, one key to settle them; see `review_desk` and `sitting`."""

from __future__ import annotations

from typing import Any

import streamlit as st

from curation_app.annotations import log
from curation_app.images import Faces
from curation_app.review.component import review_desk
from curation_app.review.leases import EVERYBODY, read_looks, write_looks
from curation_app.review.order import KINDS, Queue, is_ranked
from curation_app.review.session import Sitting, Table, new_table
from curation_app.shell import session
from data_manifests.errors import ManifestError
from data_manifests.taxonomy import class_names
from data_manifests.versions import Store

_DESK = "review_desk"
_SITTING = "review_sitting"
_LOOKS = {1: "one annotator", 2: "two", 3: "three", EVERYBODY: "everybody"}


def page() -> None:
    desk = session.desk()
    queue = _choose_queue(desk.faces)
    looks = _choose_looks(desk)
    sitting = _sitting(desk, queue, looks)
    sitting.have = frozenset()  # the page is drawn anew, and what the browser had may be gone
    for problem in sitting.table.progress.problems[:5]:
        st.warning(
            session.plain(f"{problem} It is left out. Mend it in {log.folder(desk.store, desk.faces.version)}."),
            icon=":material/warning:",
        )
    _desk()


def warm(ref: str) -> None:
    """Read a manifest and its logs, for whoever comes first."""
    faces = session.faces_of(ref)
    table = _table(session.store(), faces)
    table.progress.refresh(log.paths(table.store, faces.version))


@st.fragment
def _desk() -> None:
    """Runs by itself for each message of the browser; the rest of the page does not."""
    sitting: Sitting = st.session_state[_SITTING]
    review_desk(key=_DESK, data=sitting.view(), on_act_change=_act, on_more_change=_more)


def _act() -> None:
    message = st.session_state[_DESK].act
    if message:
        st.session_state[_SITTING].act(message)


def _more() -> None:
    message = st.session_state[_DESK].more
    if message:
        st.session_state[_SITTING].have = frozenset(message["have"])


def _choose_queue(faces: Faces) -> Queue:
    """The order, which stands in the page's address too."""
    left, right, _ = st.columns([2, 3, 4], vertical_alignment="bottom")
    kinds = list(KINDS)
    asked = st.query_params.get("queue", "suspicion")
    kind = left.selectbox(
        "Order",
        kinds,
        index=kinds.index(asked) if asked in kinds else 0,
        format_func=KINDS.__getitem__,
        label_visibility="collapsed",
    )
    at = _choose_at(faces, kind, right)
    st.query_params["queue"] = kind
    if at:
        st.query_params["at"] = at
    else:
        st.query_params.pop("at", None)
    if kind == "person" and not at:
        raise ManifestError("type the id of a person above.")
    return Queue(kind, at)


def _choose_at(faces: Faces, kind: str, column: Any) -> str:
    asked = st.query_params.get("at", "")
    if kind == "class":
        names = class_names(faces.cuts)
        index = int(asked) if asked.isdecimal() and int(asked) < len(names) else 0
        chosen = column.selectbox("Class", names, index=index, label_visibility="collapsed")
        return str(names.index(chosen))
    if kind in ("id", "person"):
        hint = "from which id? (empty: the first)" if kind == "id" else "person_id"
        return column.text_input("Id", asked, placeholder=hint, label_visibility="collapsed", key=f"at_{kind}").strip()
    if kind == "suspicion" and not is_ranked(faces):
        column.caption("No audit yet, so the order is by id. Run: python -m audit run REF")
    return ""


def _choose_looks(desk: session.Desk) -> int:
    """How many annotators see each person: a setting of the manifest, for everybody."""
    folder = log.folder(desk.store, desk.faces.version)
    now = read_looks(folder)
    with st.sidebar.expander("Sharing the work"):
        choices = list(dict.fromkeys([*_LOOKS, now]))
        chosen = st.selectbox(
            "Each person is seen by",
            choices,
            index=choices.index(now),
            format_func=lambda looks: _LOOKS.get(looks, str(looks)),
            help="Two or more let you measure agreement. The setting holds for all annotators of this manifest.",
        )
    if chosen != now:
        write_looks(folder, chosen)
    return chosen


def _sitting(desk: session.Desk, queue: Queue, looks: int) -> Sitting:
    asked = (desk.faces.version.pinned, desk.annotator, queue, looks)
    before: Sitting | None = st.session_state.get(_SITTING)
    if before and asked == (before.table.faces.version.pinned, before.annotator, before.queue, before.looks):
        return before
    if before:
        before.leave()
    table = _table(desk.store, desk.faces)
    st.session_state[_SITTING] = Sitting(table, desk.annotator, queue, looks)
    return st.session_state[_SITTING]


def _table(store: Store, faces: Faces) -> Table:
    return _tables(str(store.workspace.resolve()), faces.version.pinned, store, faces)


@st.cache_resource(max_entries=2, show_spinner=False)
def _tables(workspace: str, pinned: str, _store: Store, _faces: Faces) -> Table:
    return new_table(_store, _faces)
