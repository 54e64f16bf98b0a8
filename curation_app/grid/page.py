"""The Grid page: many pictures of one class at a time, the wrong ones marked and corrected together; duplicates."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from curation_app import shell, tiles
from curation_app.grid import duplicates_tab
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
    Row,
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

KEY = "grid"
VIEWS = {
    "labelled": "By label",
    "suspected": "Suspected by the audit",
    "predicted": "Predicted by a run",
    "duplicates": "Duplicates",
    "excluded": "Excluded",
}
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
class _Selection:
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


def page() -> None:
    """Draw the page in one fragment, so that marking and paging do not run the sidebar again."""
    _page()


def warm(ref: str) -> None:
    """Fill the caches of the page: read the label columns of a version."""
    tiles.labels(AppContext(shell.current_store(), shell.load_rows(ref), ""))


@st.fragment
def _page() -> None:
    with shell.show_errors():
        context = shell.app_context()
        with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
            view = st.segmented_control(
                "Show", list(VIEWS), format_func=VIEWS.__getitem__, default="labelled", required=True, key="grid show",
                label_visibility="collapsed",
            )  # fmt: skip
            hide = st.toggle("Hide my finished photos", key="grid hide")
        actions = _all_actions(context.manifest.cuts)
        results = tiles.handle_saves(KEY, lambda asked: tiles.save(context, asked, actions))
        if view in ("suspected", "duplicates") and not tiles.labels(context).is_audited:
            ref = context.manifest.version.ref
            raise ManifestError(f"{ref} has no audit. Run: python -m audit run {ref}")
        if view == "duplicates":
            duplicates_tab.draw_duplicates(context, KEY, hide=hide, results=results)
        else:
            _draw_photos(context, view, hide=hide, results=results)


# -- photos of one class ----------------------------------------------------------------------------------------------
def _draw_photos(context: AppContext, view: str, *, hide: bool, results: Mapping[str, Any]) -> None:
    selection, size = _choose_selection(context, view, hide)
    page = tiles.current_page(KEY, selection.name, len(selection.rows), size, "photos")
    annotations = tiles.annotator_log(context)
    shown, following = (selection.rows[page.first + start :][:size] for start in (0, size))
    rows, pictures = tiles.thumbnails(context, shown, following)
    tiles.show_tiles(
        KEY,
        selection=selection.name,
        page=page,
        tiles=[
            tiles.tile_of(row, picture, annotations, context, _hint(row, view, selection.fields, context.manifest.cuts))
            for row, picture in zip(rows, pictures, strict=True)
        ],
        manifest=context.manifest.version.pinned,
        empty=selection.empty,
        actions=selection.actions,
        results=results,
        undo=tiles.undo_of(annotations, KEY),
        enlarged=tiles.enlarged_picture(context, tiles.enlarged_sample(KEY)),
        why_not=tiles.why_not(context),
    )


def _all_actions(cuts: AgeCuts) -> list[Action]:
    """Return every action that the browser may ask for on this page."""
    fields = [LABELS, *((field,) for field in LABELS)]
    return [
        *relabel_actions(cuts),
        *map(confirm_labels, fields),
        *map(accept_suggestions, fields),
        INCLUDE,
        *duplicates_tab.ACTIONS,
    ]


def _choose_selection(context: AppContext, view: str, hide: bool) -> tuple[_Selection, int]:
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
    return _Selection(selection, rows, fields, actions, _EMPTY[view]), size


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
            f"no run that was trained on {version.name!r} has predictions yet. Run: python -m train fit {version.ref}"
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
def _read_predictions(
    _manifest: ManifestRows, _run: Run, path: str, stamp: int, pinned: str
) -> Predictions:
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


def _hint(row: Row, view: str, fields: tuple[str, ...], cuts: AgeCuts) -> str:
    """Return the labels that the audit suggests for the fields in question, as text."""
    if view == "excluded":
        return row["reason"] or ""
    suggestions = [(field, row[f"suggested_{field}"]) for field in fields]
    texts = [text_of(field, str(new), cuts) for field, new in suggestions if new is not None]
    return f"predicted {', '.join(texts)}" if texts else ""
