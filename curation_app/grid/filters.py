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
    FIELDS,
    INCLUDE,
    LABELS,
    Action,
    Labels,
    Predictions,
    accept_suggestions,
    confirm_labels,
    counts,
    in_order,
    relabel_actions,
    text_of,
    without_annotations,
)
from data_manifests.errors import ManifestError
from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts
from pipeline.runs import PREDICTIONS, Run, find_run, list_runs

_FIELD_TITLES = {"class": "All 18 classes", "mask": "Mask", "gender": "Gender", "age": "Age class"}
_ORDERS = {"suspicion": "Most suspect first", "id": "By person"}
_PAGE_SIZES = (48, 96, 192)
_EMPTY = {
    "labelled": "No photo of this version has this label.",
    "suspected": "The audit suggests this label for no photo.",
    "predicted": "The network predicts this label for no photo.",
    "excluded": "No correction has excluded a photo from this version.",
}


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
    """A source of labels for all rows (N,): `values` of a field where `where` holds, and `suspicion`, highest first."""

    name: list[str]
    field: str
    where: np.ndarray
    values: np.ndarray
    suspicion: np.ndarray


def choose_selection(context: AppContext, view: str, hide: bool) -> tuple[Selection, int]:
    """Draw the filters. Return the photos that they select and the number of photos on a page."""
    labels, cuts = tiles.labels(context), context.manifest.cuts
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if view == "excluded":
            fields: tuple[str, ...] = LABELS
            name, actions = [view], [INCLUDE]
            rows = in_order(labels, labels.real & labels.rejected, None)
        else:
            source = _choose_source(context, view, labels)
            fields = LABELS if source.field == "class" else (source.field,)
            name, rows = _choose_value(source, labels, cuts)
            actions = _actions(view, fields, cuts)
        size = st.selectbox("Per page", _PAGE_SIZES, index=1, key="grid size", width=110)
    if hide:
        rows = without_annotations(context.manifest, rows, tiles.annotator_log(context), fields)
    selection = json.dumps([context.manifest.version.pinned, context.annotator, *name, size, hide])
    return Selection(selection, rows, fields, actions, _EMPTY[view]), size


def _choose_source(context: AppContext, view: str, labels: Labels) -> _Source:
    run = _choose_run(context) if view == "predicted" else ""
    fields = FIELDS if view != "suspected" else LABELS
    field = st.selectbox("Group by", fields, format_func=_FIELD_TITLES.__getitem__, key=f"grid field {view}", width=190)
    if view == "labelled":
        return _Source([view], field, labels.shown, labels.labelled[field], -labels.scores[field])
    if view == "suspected":
        return _Source([view], field, labels.shown, labels.suggested[field], -labels.scores[field])
    predictions = _predictions(context, run)
    values = predictions.of(field)
    differ = st.toggle("Only where the label differs", value=True, key="grid differ")
    where = labels.shown & (values != labels.labelled[field]) if differ else labels.shown
    return _Source([view, run, str(differ)], field, where, values, predictions.confidence)


def _choose_value(source: _Source, labels: Labels, cuts: AgeCuts) -> tuple[list[str], np.ndarray]:
    """Draw the choice of value and order. Return the name of the choice and its row numbers in order."""
    view, names = source.name[0], _value_names(source.field, cuts)
    numbers = counts(source.values, source.where, len(names))
    titles = {value: f"{name}  ({numbers[value]:,})" for value, name in enumerate(names)}
    key = f"grid value {view} {source.field}"
    value = st.selectbox("Label", list(titles), format_func=titles.__getitem__, key=key, width=230)
    order = "suspicion"
    if view != "predicted" and labels.is_audited:
        order = st.selectbox("Order", list(_ORDERS), format_func=_ORDERS.__getitem__, key="grid order", width=190)
    suspicion = source.suspicion if order == "suspicion" else None
    rows = in_order(labels, source.where & (source.values == value), suspicion)
    return [*source.name, source.field, str(value), order], rows


def _choose_run(context: AppContext) -> str:
    version = context.manifest.version
    runs = [
        run
        for run in list_runs(context.store)
        if run.manifest.partition("@")[0] == version.name and run.has(PREDICTIONS)
    ]
    if not runs:
        raise ManifestError(
            f"no run that was trained on {version.name!r} has predictions yet. Run: facecurate train fit {version.ref}"
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


def _value_names(field: str, cuts: AgeCuts) -> list[str]:
    masks, ages = [text_of("mask", mask, cuts) for mask in MASKS], cuts.display_names
    if field == "class":
        return [f"{mask}, {gender}, {age}" for mask in masks for gender in GENDERS for age in ages]
    return {"mask": masks, "gender": list(GENDERS), "age": list(ages)}[field]


def _actions(view: str, fields: tuple[str, ...], cuts: AgeCuts) -> list[Action]:
    """Return the buttons of a view: all labels, confirm, apply the audit's suggestion if there is one, exclude."""
    suggestion = [accept_suggestions(fields)] if view == "suspected" else []
    return [*relabel_actions(cuts), *suggestion, confirm_labels(fields), EXCLUDE, INCLUDE]
