"""The parts that pages with many photos share: cached labels and logs, saves, and the description of a photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from curation_app import shell
from curation_app.annotations import log_path
from curation_app.images import ManifestRows, Thumbnail, load_thumbnails, photo_title, prefetch_thumbnails
from curation_app.shell import AppContext
from curation_app.tiles.actions import Action, Row, action_records, group_action_records, text_of, verdict
from curation_app.tiles.component import Tile, save_prefix
from curation_app.tiles.selection import Labels, labels_of
from data_manifests.corrections import AnnotatorLog
from data_manifests.errors import CorrectionError, must_be_one_of

THUMBNAIL_PX = 208
LARGE_PX = 640


def labels(context: AppContext) -> Labels:
    """Return the labels of the chosen version, read once."""
    version = context.manifest.version
    return _labels(context.manifest, str(context.store.workspace), version.ref, version.content_hash)


@st.cache_resource(max_entries=2, show_spinner=False)
def _labels(_manifest: ManifestRows, workspace: str, ref: str, content_hash: str) -> Labels:
    return labels_of(_manifest)


def annotator_log(context: AppContext) -> AnnotatorLog:
    """Return the annotator's log, read up to its end; an empty one without a name."""
    annotator = context.annotator
    path = log_path(context.store, context.manifest.version, annotator) if annotator else Path(".none")
    found = _annotator_log(str(path))
    found.refresh()
    return found


@st.cache_resource(show_spinner="Reading your annotations …")
def _annotator_log(path: str) -> AnnotatorLog:
    return AnnotatorLog(Path(path))


def why_not(context: AppContext) -> str:
    """Return the reason why labels cannot be changed; empty if they can."""
    return "" if context.annotator else "Enter your name in the sidebar to change labels."


def save(context: AppContext, asked: Mapping[str, Any], actions: Sequence[Action]) -> str:
    """Do a save that the browser asks for and return a message. Raises ToolkitError if nothing was saved.

    A save is about the version whose pictures were on the screen, whatever was chosen since.
    """
    if not context.annotator:
        raise CorrectionError("Enter your name in the sidebar to save corrections.")
    own = annotator_log(context)
    if asked["action"] == "undo":
        return f"Undid {_labels_text(own.undo(asked['ids'][0]))}."
    known = {action.name: action for action in actions}
    if asked["action"] not in known:
        raise CorrectionError(must_be_one_of("action", known, asked["action"]))
    action = known[asked["action"]]
    manifest = shell.load_rows(asked["manifest"].partition("#")[0])
    if manifest.version.pinned != asked["manifest"]:
        raise CorrectionError(f"{asked['manifest']} is no longer in the workspace.")
    marked = rows_named(manifest, asked["ids"])
    target = (manifest.version, context.annotator, own)
    if action.field == "group":
        records = [
            record
            for group, chosen in _groups(manifest, marked)
            for record in group_action_records(action, group, chosen, *target)
        ]
    else:
        records = action_records(action, marked, *target)
    own.save(asked["name"], records)
    many = f"{len(marked)} picture{'s' * (len(marked) != 1)}"
    if not records and not own.history.has_save(asked["name"]):
        return f"{many}: already annotated so."
    return f"Saved · {action.text} · {many}"


def _labels_text(number: int) -> str:
    return f"{number} label{'s' * (number != 1)}"


def _groups(manifest: ManifestRows, marked: Sequence[Row]) -> list[tuple[list[Row], list[Row]]]:
    """Return the groups of duplicates that marked photos belong to: all photos of each, and the marked ones."""
    found = []
    for name in dict.fromkeys(row["duplicate_of"] for row in marked):
        rows = pc.indices_nonzero(pc.fill_null(pc.equal(manifest.column("duplicate_of"), name), False)).to_numpy()
        group: list[Row] = [row for row in manifest.records(rows) if not row["is_synthetic"]]
        found.append((group, [row for row in marked if row["duplicate_of"] == name]))
    return found


def rows_named(manifest: ManifestRows, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return rows by `sample_id`, in that order. Raises CorrectionError if one is not in the version."""
    column = manifest.column("sample_id")
    rows = pc.indices_nonzero(pc.is_in(column, pa.array(ids, pa.string()))).to_numpy()
    found = {row["sample_id"]: row for row in manifest.records(rows)}
    if missing := [name for name in ids if name not in found]:
        raise CorrectionError(f"sample {missing[0]!r} is not in {manifest.version.ref}.")
    return [found[name] for name in ids]


def undo_of(own: AnnotatorLog, key: str) -> dict[str, str] | None:
    """Return the save that a page's undo button would undo, with the button's text; None if there is none."""
    save_id, records = own.last_save(save_prefix(key))
    if not save_id:
        return None
    return {"name": save_id, "text": f"Undo {_labels_text(len(records))}, saved at {records[0].time[:16]}"}


def thumbnails(
    context: AppContext, rows: np.ndarray, ahead: np.ndarray
) -> tuple[list[dict[str, Any]], list[Thumbnail]]:
    """Return rows (by number) as dictionaries, with their thumbnails; start making those of `ahead`."""
    shown = context.manifest.records(rows)
    made = load_thumbnails(context.store, shown, THUMBNAIL_PX)
    prefetch_thumbnails(context.store, context.manifest.records(ahead), THUMBNAIL_PX)
    return shown, made


def tile_of(row: Row, picture: Thumbnail, own: AnnotatorLog, context: AppContext, hint: str = "") -> Tile:
    """Return a photo for the browser: its labels, a hint, and this annotator's latest annotation."""
    return {
        "id": row["sample_id"],
        "src": picture.src,
        "w": picture.width_px,
        "h": picture.height_px,
        "problem": picture.problem,
        "head": photo_title(row),
        "label": label_text(row, context),
        "hint": hint,
        "verdict": verdict(row, own, context.manifest.cuts),
        "excluded": own.latest_of(row, "exclude") == "true",
        "href": review_link(context, row["person_id"]),
    }


def label_text(row: Row, context: AppContext) -> str:
    """Return the known labels of a row, such as "female 45 · worn" or "<30"; "no label" if there are none."""
    age = "" if row["age"] is None else str(row["age"])
    if not age and row["age_class"] is not None:
        age = context.manifest.cuts.display_names[row["age_class"]]
    if age.isdecimal() and not row["gender"]:
        age = f"age {age}"
    mask = text_of("mask", row["mask"], context.manifest.cuts) if row["mask"] else ""
    person = " ".join(part for part in (row["gender"], age) if part)
    return " · ".join(part for part in (person, mask) if part) or "no label"


def review_link(context: AppContext, person: str) -> str:
    """Return the address of a person on the review page."""
    asked = {"manifest": context.manifest.version.ref, "by": context.annotator, "queue": "person", "at": person}
    return "./?" + urlencode({name: value for name, value in asked.items() if value})


def enlarged_picture(context: AppContext, sample: str) -> dict[str, Any] | None:
    """Return a photo enlarged, beside the one that it was made from if the version has it; None without a sample."""
    if not sample:
        return None
    try:
        row = rows_named(context.manifest, [sample])[0]
    except CorrectionError:
        return None  # a sample of another version than the chosen one
    shown = [row, *(found for found in origins(context.manifest, [row]) if found)]
    captions = ["synthetic" if row["is_synthetic"] else "this photo", "made from this photo"]
    made = load_thumbnails(context.store, shown, LARGE_PX)
    lines = {
        "Person": row["person_id"],
        "Shot": row["shot"],
        "Labels": label_text(row, context),
        "Audit": row["audit_reason"],
        "Status": row["status"] + (f": {row['reason']}" if row["reason"] else ""),
        "Split": row["split"],
        "File": row["path"],
    }
    return {
        "id": sample,
        "pictures": [
            {"src": picture.src, "problem": picture.problem, "caption": caption}
            for picture, caption in zip(made, captions, strict=False)
        ],
        "lines": [[name, value] for name, value in lines.items() if value],
        "href": review_link(context, row["person_id"]),
    }


def origins(manifest: ManifestRows, rows: Sequence[Row]) -> list[dict[str, Any] | None]:
    """Return the photo that each synthetic picture was made from; None for a photo, or if it is not in the version."""
    asked = pa.array([row["source_id"] for row in rows if row["is_synthetic"]], pa.string())
    at = pc.indices_nonzero(pc.is_in(manifest.column("source_id"), asked)).to_numpy()
    found = {row["source_id"]: row for row in manifest.records(at) if not row["is_synthetic"]}
    return [found.get(row["source_id"]) if row["is_synthetic"] else None for row in rows]
