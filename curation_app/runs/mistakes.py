"""The worst mistakes of a training run as tiles that link to the review page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from curation_app import shell, tiles
from curation_app.images import load_thumbnails
from curation_app.runs.run_predictions import mistakes_of
from curation_app.shell import AppContext
from curation_app.tiles import display_label
from data_manifests.errors import ManifestError
from data_manifests.labels import TASKS, UNKNOWN
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import Store
from pipeline.runs import Run

N_MISTAKES = 48
_KEY = "runs mistakes"


def draw_mistakes(store: Store, run: Run, cuts: AgeCuts) -> None:
    """Draw the worst mistakes on validation.

    Raises StageError if the run has no predictions, ManifestError if its version has changed.
    """
    worst = mistakes_of(run, N_MISTAKES)
    st.subheader("Worst mistakes")
    if not worst:
        st.caption("None: all validation images are predicted as labelled.")
        return
    st.caption(
        "The most confident wrong predictions on validation; often it is the label that is wrong. "
        "Below the label: the prediction where it differs, and its probability. “Review” opens the person."
    )
    manifest = shell.load_rows(run.manifest)
    if manifest.version.content_hash != run.about_or_empty().get("content_hash"):
        raise ManifestError(f"{run.manifest} is no longer what run {run.name!r} was trained on.")
    context = AppContext(store, manifest, shell.current_annotator())
    tiles.show_tiles(
        _KEY,
        selection=run.name,
        page=tiles.Page(0, 1, 0, len(worst), len(worst), "mistakes"),
        tiles=_tiles(context, worst, cuts),
        manifest=manifest.version.pinned,
        empty="",
        enlarged=tiles.enlarged_picture(context, tiles.enlarged_sample(_KEY)),
    )


def _tiles(context: AppContext, worst: Sequence[Mapping[str, Any]], cuts: AgeCuts) -> list[tiles.Tile]:
    rows = tiles.rows_named(context.manifest, [mistake["sample_id"] for mistake in worst])
    thumbnails = load_thumbnails(context.store, rows, tiles.THUMBNAIL_PX)
    own = tiles.annotator_log(context)
    return [
        tiles.tile_of(row, thumbnail, own, context)
        | {
            "label": _label_text(mistake["labels"], cuts),
            "hint": f"{_label_text(_differing(mistake), cuts)} {mistake['confidence']:.0%}",
        }
        for row, thumbnail, mistake in zip(rows, thumbnails, worst, strict=True)
    ]


def _label_text(codes: Sequence[int], cuts: AgeCuts) -> str:
    """Return the known labels of mask, gender and age as text, such as "female ≥60"."""
    known = [(task, code) for task, code in zip(TASKS, codes, strict=True) if code != UNKNOWN]
    return " ".join(display_label(task, code, cuts) for task, code in known)


def _differing(mistake: Mapping[str, Any]) -> list[int]:
    """Return the predicted labels where they differ from the known ones, UNKNOWN elsewhere."""
    pairs = zip(mistake["labels"], mistake["predicted"], strict=True)
    return [new if UNKNOWN not in (old, new) and old != new else UNKNOWN for old, new in pairs]
