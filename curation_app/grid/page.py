"""The Grid page: many faces of one class at a time, the odd ones marked and settled together; pairs of duplicates."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from curation_app import shell
from curation_app.grid import duplicates_tab
from curation_app.images import ManifestRows
from curation_app.runs import training_runs
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
    age_names,
    component,
    counts,
    in_order,
    not_judged,
    photos,
    relabelling,
    right,
    suggested,
    text_of,
)
from data_manifests.errors import ManifestError
from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts

KEY = "grid"
SHOWS = {
    "labelled": "As labelled",
    "suspected": "Suspected by the audit",
    "predicted": "Predicted by a run",
    "duplicates": "Duplicates",
    "excluded": "Excluded",
}
_FIELD_TITLES = {"class": "One of 18 classes", "mask": "Mask", "gender": "Gender", "age": "Age class"}
_ORDERS = {"suspicion": "Most suspect first", "id": "By person"}
_SIZES = (48, 96, 192)
_EMPTY = {
    "labelled": "No photo of this version has this label.",
    "suspected": "The audit suspects nothing of this kind.",
    "predicted": "The network says this of no photo.",
    "excluded": "No correction has left a photo out of this version.",
}


@dataclass(frozen=True)
class _Choice:
    """What was chosen: row numbers in order, its name, the fields that are in question, what may be done."""

    name: str
    rows: np.ndarray
    fields: tuple[str, ...]
    actions: Sequence[Action]
    empty: str


def page() -> None:
    """Everything is in one fragment: marking and paging leave the rest of the page alone."""
    _page()


def warm(ref: str) -> None:
    """Count labels, for whoever comes first."""
    photos.labels(shell.AppContext(shell.current_store(), shell.load_rows(ref), ""))


@st.fragment
def _page() -> None:
    with shell.show_errors():
        context = shell.app_context()
        with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
            show = st.segmented_control(
                "Show", list(SHOWS), format_func=SHOWS.__getitem__, default="labelled", required=True, key="grid show",
                label_visibility="collapsed",
            )  # fmt: skip
            hide = st.toggle("Hide what I have judged", key="grid hide")
        done = component.settle(KEY, lambda asked: photos.save(context, asked, _every_action(context.manifest.cuts)))
        if show in ("suspected", "duplicates") and not photos.labels(context).is_audited:
            ref = context.manifest.version.ref
            raise ManifestError(f"the audit has not looked at this version. Run: python -m audit run {ref}")
        if show == "duplicates":
            duplicates_tab.show(context, KEY, hide=hide, done=done)
        else:
            _manifest(context, show, hide=hide, done=done)


# -- faces of one class -----------------------------------------------------------------------------------------------
def _manifest(context: AppContext, show: str, *, hide: bool, done: Mapping[str, Any]) -> None:
    choice, size = _choose(context, show, hide)
    page = component.page_of(KEY, choice.name, len(choice.rows), size, "photos")
    said = photos.words(context)
    here, ahead = (choice.rows[page.first + start :][:size] for start in (0, size))
    rows, made = photos.thumbnails(context, here, ahead)
    shown = [
        photos.tile_of(row, picture, said, context, _hint(row, show, choice.fields, context.manifest.cuts))
        for row, picture in zip(rows, made, strict=True)
    ]
    component.show(
        KEY,
        choice=choice.name,
        page=page,
        tiles=shown,
        manifest=context.manifest.version.pinned,
        empty=choice.empty,
        actions=choice.actions,
        done=done,
        undo=photos.undo_of(said, KEY),
        look=photos.look(context, component.looked_at(KEY)),
        why_not=photos.why_not(context),
    )


def _every_action(cuts: AgeCuts) -> list[Action]:
    """All that the browser may ask for here."""
    fields = [LABELS, *((field,) for field in LABELS)]
    return [*relabelling(cuts), *map(right, fields), *map(suggested, fields), INCLUDE, *duplicates_tab.ACTIONS]


@dataclass(frozen=True)
class _Kind:
    """Which rows (N,) come in question, their values of a field, and how suspicious each is (N,)."""

    name: list[str]
    field: str
    where: np.ndarray
    values: np.ndarray
    suspicion: np.ndarray


def _choose(context: AppContext, show: str, hide: bool) -> tuple[_Choice, int]:
    """The row of choices, and what follows from it."""
    labels, cuts = photos.labels(context), context.manifest.cuts
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if show == "excluded":
            fields: tuple[str, ...] = LABELS
            name, actions = [show], [INCLUDE]
            rows = in_order(labels, labels.real & labels.rejected, None)
        else:
            kind = _choose_kind(context, show, labels)
            fields = LABELS if kind.field == "class" else (kind.field,)
            name, rows = _choose_value(kind, labels, cuts)
            actions = _actions(show, fields, cuts)
        size = st.selectbox("On a page", _SIZES, index=1, key="grid size", width=110)
    if hide:
        rows = not_judged(context.manifest, rows, photos.words(context), fields)
    choice = json.dumps([context.manifest.version.pinned, context.annotator, *name, size, hide])
    return _Choice(choice, rows, fields, actions, _EMPTY[show]), size


def _choose_kind(context: AppContext, show: str, labels: Labels) -> _Kind:
    run = _choose_run(context) if show == "predicted" else ""
    fields = FIELDS if show != "suspected" else LABELS
    field = st.selectbox("What", fields, format_func=_FIELD_TITLES.__getitem__, key=f"grid field {show}", width=190)
    if show == "labelled":
        return _Kind([show], field, labels.shown, labels.labelled[field], -labels.scores[field])
    if show == "suspected":
        return _Kind([show], field, labels.shown, labels.suggested[field], -labels.scores[field])
    predictions = _predictions(context, run)
    values = predictions.of(field)
    differ = st.toggle("Only where the label differs", value=True, key="grid differ")
    where = labels.shown & (values != labels.labelled[field]) if differ else labels.shown
    return _Kind([show, run, str(differ)], field, where, values, predictions.confidence)


def _choose_value(kind: _Kind, labels: Labels, cuts: AgeCuts) -> tuple[list[str], np.ndarray]:
    """The class to show: its name, and its rows in the order that was chosen."""
    names = _names(kind.field, cuts)
    numbers = counts(kind.values, kind.where, len(names))
    key = f"grid value {kind.name[0]} {kind.field}"
    value = st.selectbox(
        "Which", range(len(names)), format_func=lambda at: f"{names[at]}  ({numbers[at]:,})", key=key, width=230
    )
    order = "suspicion"
    if kind.name[0] != "predicted" and labels.is_audited:
        order = st.selectbox("Order", list(_ORDERS), format_func=_ORDERS.__getitem__, key="grid order", width=190)
    suspicion = kind.suspicion if order == "suspicion" else None
    return [*kind.name, kind.field, str(value), order], in_order(labels, kind.where & (kind.values == value), suspicion)


def _choose_run(context: AppContext) -> str:
    name = context.manifest.version.name
    runs = [
        run
        for run in training_runs.runs_of(context.store)
        if run.manifest.partition("@")[0] == name and run.has_predictions
    ]
    if not runs:
        raise ManifestError(
            f"no network that was trained on {name!r} has made predictions yet. "
            f"Run: python -m train fit {context.manifest.version.ref}"
        )
    runs.sort(
        key=lambda run: run.manifest != context.manifest.version.ref
    )  # those of this version first, the newest before
    names = {run.name: f"{run.name} · {run.manifest}" for run in runs}
    return str(st.selectbox("Run", list(names), format_func=names.__getitem__, key="grid run", width=210))


def _predictions(context: AppContext, run: str) -> Predictions:
    found = next(entry for entry in training_runs.runs_of(context.store) if entry.name == run)
    file = found.path / "predictions.parquet"
    stamp = file.stat().st_mtime_ns if file.exists() else 0
    return _read_predictions(context.manifest, found, str(found.path), stamp, context.manifest.version.pinned)


@st.cache_resource(max_entries=4, show_spinner="Reading the predictions …")
def _read_predictions(
    _manifest: ManifestRows, _run: training_runs.Run, path: str, stamp: int, pinned: str
) -> Predictions:
    return training_runs.predictions_for(_run, _manifest.column("sample_id"))


def _names(field: str, cuts: AgeCuts) -> list[str]:
    ages = age_names(cuts)
    masks = [text_of("mask", mask, cuts) for mask in MASKS]
    if field == "class":
        return [f"{mask}, {gender}, {age}" for mask in masks for gender in GENDERS for age in ages]
    return {"mask": masks, "gender": list(GENDERS), "age": list(ages)}[field]


def _actions(show: str, fields: tuple[str, ...], cuts: AgeCuts) -> list[Action]:
    """What fits: all labels, confirming, the audit's suggestion where it made one, leaving out."""
    follow = [suggested(fields)] if show == "suspected" else []
    return [*relabelling(cuts), *follow, right(fields), EXCLUDE, INCLUDE]


def _hint(row: Row, show: str, fields: tuple[str, ...], cuts: AgeCuts) -> str:
    """What the audit thinks of the labels in question."""
    if show == "excluded":
        return row["reason"] or ""
    looks = [(field, row[f"suggested_{field}"]) for field in fields]
    texts = [text_of(field, str(new), cuts) for field, new in looks if new is not None]
    return f"looks {', '.join(texts)}" if texts else ""
