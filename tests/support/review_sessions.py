"""Review sessions without a browser, and messages as the browser sends them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from curation_app.annotations import log_folder
from curation_app.images.manifest_rows import ManifestRows
from curation_app.review.context import open_review_context
from curation_app.review.leases import AssignmentLeases
from curation_app.review.order import Queue
from curation_app.review.session import ReviewSession
from data_manifests.corrections.log import read_corrections
from data_manifests.versions.store import Store

MOST_SUSPECT_FIRST = Queue()


def start_session(
    store: Store,
    rows: ManifestRows,
    annotator: str = "kim",
    queue: Queue = MOST_SUSPECT_FIRST,
    annotators_per_person: int = 1,
    clock: Callable[[], float] = time.time,
) -> ReviewSession:
    """Start a session as a new server does, with leases timed by `clock`."""
    leases = AssignmentLeases(log_folder(store, rows.version), clock)
    context = replace(open_review_context(store, rows), leases=leases)
    return ReviewSession(context, annotator, queue, annotators_per_person)


def press(
    session: ReviewSession, /, act: str = "accept", edits: dict[int, dict[str, str]] | None = None, **message: Any
) -> ReviewSession:
    """Send a message as the browser does: the shots as shown on the screen, with edits by index."""
    view = session.view()
    person = view["people"].get(view["current"], {"shots": []})
    shots = [{**shot["file"], **shot["labels"], "seen": True} for shot in person["shots"]]
    for index, edit in (edits or {}).items():
        shots[index] |= edit
    usual = {"act": act, "seq": session.seq + 1, "session": session.name, "person": view["current"], "note": ""}
    session.act(usual | {"shots": shots, "have": []} | message)
    return session


def edit_all_shots(**edit: str) -> dict[int, dict[str, str]]:
    """Return one edit for each of a person's seven shots."""
    return dict.fromkeys(range(7), edit)


def current(session: ReviewSession) -> str | None:
    """Return the id of the person on the screen."""
    return session.view()["current"]


def saved_records(store: Store) -> list[dict[str, Any]]:
    """Return the corrections in all logs of the manifest `people`."""
    return read_corrections(sorted(store.workspace.glob("corrections/people/*.csv"))).to_pylist()
