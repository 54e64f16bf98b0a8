"""The filters of the Grid page: the source of labels, the label, the order and the page size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from curation_app import tiles
from curation_app.images import ManifestRows
from curation_app.runs import predictions_for
from curation_app.shell import AppContext
from curation_app.tiles import (
    EXCLUDE,
    INCLUDE,
    LABELS,
    Action,
    Grouping,
    Labels,
    Predictions,
    accept_suggestions,
    confirm_labels,
    counts,
    groupings,
    in_order,
    relabel_actions,
    without_annotations,
)
from data_manifests.errors import ManifestError
from data_manifests.labels import UNKNOWN
from data_manifests.taxonomy import AgeCuts
from pipeline.runs import PREDICTIONS, Run, find_run, list_runs

_ORDERS = {"suspicion": "Most suspect first", "id": "By person"}
_PAGE_SIZES = (48, 96, 192)
_EMPTY = {
    "labelled": "No photo of this version has this label.",
    "suspected": "The audit suggests this label for no photo.",
    "predicted": "The network predicts this label for no photo.",
    "excluded": "No correction has excluded a photo from this version.",
}


class NothingToChoose(ManifestError):
    """A view that has no photos for this version, with the reason."""


@dataclass(frozen=True)
class Selection:
    """The chosen photos: their row numbers in order, the fields in question and the available actions."""

    name: str
    rows: np.ndarray
    fields: tuple[str, ...]
    actions: Sequence[Action]
    empty: str


@dataclass(frozen=True)
class _Source:
    """Labels of all rows (N,): `values` of a grouping where `where` holds, and `suspicion`, highest first."""

    name: list[str]
    grouping: Grouping
    where: np.ndarray
    values: np.ndarray
    suspicion: np.ndarray


def choose_selection(context: AppContext, view: str, hide: bool) -> tuple[Selection, int]:
    """Draw the filters. Return the photos that they select and the number of photos on a page.

    Raises NothingToChoose if no photo of the version belongs to the view.
    """
    labels, cuts = tiles.labels(context), context.manifest.cuts
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if view == "excluded":
            fields: tuple[str, ...] = LABELS
            name, actions = [view], [INCLUDE]
            rows = in_order(labels, labels.real & labels.rejected, None)
        else:
            source = _choose_source(context, view, labels)
            fields = source.grouping.tasks
            name, rows, is_known = _choose_value(source, labels)
            actions = _actions(view, fields, cuts, is_known=is_known)
        size = st.selectbox("Per page", _PAGE_SIZES, index=1, key="grid size", width=110)
    if hide:
        rows = without_annotations(context.manifest, rows, tiles.annotator_log(context), fields)
    selection = json.dumps([context.manifest.version.pinned, context.annotator, *name, size, hide])
    return Selection(selection, rows, fields, actions, _EMPTY[view]), size


def _choose_source(context: AppContext, view: str, labels: Labels) -> _Source:
    cuts, shown, ref = context.manifest.cuts, labels.shown, context.manifest.version.ref
    if view == "labelled":
        grouping = _choose_grouping(view, groupings(labels.labelled, shown, cuts, with_unlabelled=True))
        return _Source([view], grouping, shown, grouping.codes(labels.labelled), labels.suspicion(grouping.tasks))
    if view == "suspected":
        found = [one for one in groupings(labels.suggested, shown, cuts) if len(one.tasks) == 1]
        grouping = _choose_grouping(view, found, f"The audit of {ref} suggests no label. Choose another view.")
        return _Source([view], grouping, shown, grouping.codes(labels.suggested), labels.suspicion(grouping.tasks))
    run = _choose_run(context, has_labels=bool(groupings(labels.labelled, shown, cuts)))
    predictions = _predictions(context, run)
    none = f"Run {run!r} predicted no photo of {ref}. Choose another run: facecurate train list"
    grouping = _choose_grouping(view, groupings(predictions.labels, shown, cuts), none)
    values, given = grouping.codes(predictions.labels), grouping.codes(labels.labelled)
    rows = {
        "the label differs": shown & (given != UNKNOWN) & (values != given),
        "no label is known": shown & (given == UNKNOWN),
        "all photos": shown,
    }
    kinds = [kind for kind, where in rows.items() if where.any()]
    kind = st.selectbox("Photos", kinds, key="grid differ", width=190)
    return _Source([view, run, kind], grouping, rows[kind], values, predictions.confidence)


def _choose_grouping(view: str, found: Sequence[Grouping], none: str = "") -> Grouping:
    """Draw the choice of grouping. Raises NothingToChoose with the text `none` if there is nothing to choose from."""
    if not found:
        raise NothingToChoose(none)
    titles = {one.field: one.title for one in found}
    field = st.selectbox(
        "Group by", list(titles), format_func=lambda name: titles.get(name, name), key=f"grid field {view}", width=190
    )
    return next(one for one in found if one.field == field)


def _choose_value(source: _Source, labels: Labels) -> tuple[list[str], np.ndarray, bool]:
    """Draw the choice of value and order.

    Return the name of the choice, its row numbers in order, and whether their label is known.
    """
    view, grouping = source.name[0], source.grouping
    numbers = dict(enumerate(counts(source.values, source.where, len(grouping.names))))
    if view == "labelled" and (unknown := int((source.where & (source.values == UNKNOWN)).sum())):
        numbers[UNKNOWN] = unknown
    titles = {value: f"{grouping.name_of(value)}  ({number:,})" for value, number in numbers.items()}
    first = next((at for at, number in enumerate(numbers.values()) if number), 0)
    key = f"grid value {view} {grouping.field}"
    value = st.selectbox("Label", list(titles), index=first, format_func=titles.__getitem__, key=key, width=230)
    order = "id"
    if view == "predicted":
        order = "suspicion"
    elif not np.isnan(source.suspicion).all():
        order = st.selectbox("Order", list(_ORDERS), format_func=_ORDERS.__getitem__, key="grid order", width=190)
    suspicion = source.suspicion if order == "suspicion" else None
    rows = in_order(labels, source.where & (source.values == value), suspicion)
    return [*source.name, grouping.field, str(value), order], rows, value != UNKNOWN


def _choose_run(context: AppContext, *, has_labels: bool) -> str:
    version = context.manifest.version
    runs = [
        run
        for run in list_runs(context.store)
        if run.manifest.partition("@")[0] == version.name and run.has(PREDICTIONS)
    ]
    if not runs and not has_labels:
        raise NothingToChoose(
            f"{version.ref} has no labels to train on. Label some photos first, in the view By label."
        )
    if not runs:
        raise NothingToChoose(
            f"No run that was trained on {version.name!r} has predictions yet. Run: facecurate train fit {version.ref}"
        )
    runs.sort(key=lambda run: run.manifest != version.ref)  # stable: runs on this version first, then the newest
    names = {run.name: f"{run.name} · {run.manifest}" for run in runs}
    return str(st.selectbox("Run", list(names), format_func=names.__getitem__, key="grid run", width=210))


def _predictions(context: AppContext, run: str) -> Predictions:
    found = find_run(context.store, run)
    file = found.path / PREDICTIONS
    stamp = file.stat().st_mtime_ns if file.exists() else 0
    return _read_predictions(context.manifest, found, str(found.path), stamp, context.manifest.version.pinned)


@st.cache_resource(max_entries=4, show_spinner="Reading the predictions …")
def _read_predictions(_manifest: ManifestRows, _run: Run, path: str, stamp: int, pinned: str) -> Predictions:
    return predictions_for(_run, _manifest.column("sample_id"))


def _actions(view: str, fields: tuple[str, ...], cuts: AgeCuts, *, is_known: bool) -> list[Action]:
    """Return the buttons of a view: all labels, confirm, apply the audit's suggestion if there is one, exclude.

    Labels that are not known cannot be confirmed.
    """
    suggestion = [accept_suggestions(fields)] if view == "suspected" else []
    confirm = [confirm_labels(fields)] if is_known else []
    return [*relabel_actions(cuts), *suggestion, *confirm, EXCLUDE, INCLUDE]
