"""What the pages with many photos share: what is kept between reruns, how a save is done, how a photo is described."""

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
from curation_app.annotations import Words, log
from curation_app.images import ManifestRows, Thumbnail, load_thumbnails, prefetch_thumbnails
from curation_app.shell import AppContext
from curation_app.tiles import component
from curation_app.tiles.actions import Action, Row, records_of, records_of_group, text_of, verdict
from curation_app.tiles.component import Tile
from curation_app.tiles.selection import Labels, age_names, labels_of
from data_manifests.errors import CorrectionError, must_be_one_of

THUMBNAIL_PX = 208
LARGE_PX = 640


def labels(context: AppContext) -> Labels:
    """The label columns of the desk's version, read once."""
    version = context.manifest.version
    return _labels(context.manifest, str(context.store.workspace), version.ref, version.content_hash)


@st.cache_resource(max_entries=2, show_spinner=False)
def _labels(_manifest: ManifestRows, workspace: str, ref: str, content_hash: str) -> Labels:
    return labels_of(_manifest)


def words(context: AppContext) -> Words:
    """What the desk's annotator has said so far; nothing without a name."""
    path = (
        log.path_of(context.store, context.manifest.version, context.annotator)
        if context.annotator
        else Path(".nobody")
    )
    said = _words(str(path))
    said.refresh()
    return said


@st.cache_resource(show_spinner="Reading what you said so far …")
def _words(path: str) -> Words:
    return Words(Path(path))


def why_not(context: AppContext) -> str:
    """Why nothing can be said here; empty if it can."""
    return "" if context.annotator else "Type your name in the sidebar to change labels."


def save(context: AppContext, asked: Mapping[str, Any], actions: Sequence[Action]) -> str:
    """Do what the browser asked for, and say what was done. Raises ToolkitError if nothing was.

    A save speaks about the version whose pictures were on the screen, whatever has been chosen since.
    """
    if not context.annotator:
        raise CorrectionError("type your name in the sidebar first.")
    said = words(context)
    if asked["action"] == "undo":
        return f"Took back {_labels_text(said.take_back(asked['ids'][0]))}."
    known = {action.name: action for action in actions}
    if asked["action"] not in known:
        raise CorrectionError(must_be_one_of("action", known, asked["action"]))
    action = known[asked["action"]]
    manifest = shell.load_rows(asked["manifest"].partition("#")[0])
    if manifest.version.pinned != asked["manifest"]:
        raise CorrectionError(f"{asked['manifest']} is no longer in the workspace.")
    marked = rows_named(manifest, asked["ids"])
    about = (manifest.version, context.annotator, said)
    if action.field == "group":
        records = [
            record
            for group, chosen in _groups(manifest, marked)
            for record in records_of_group(action, group, chosen, *about)
        ]
    else:
        records = records_of(action, marked, *about)
    said.save(asked["name"], records)
    many = f"{len(marked)} picture{'s' * (len(marked) != 1)}"
    if not records and not said.is_saved(asked["name"]):
        return f"{many}: you had said so already."
    return f"Saved · {action.text} · {many}"


def _labels_text(number: int) -> str:
    return f"{number} label{'s' * (number != 1)}"


def _groups(manifest: ManifestRows, marked: Sequence[Row]) -> list[tuple[list[Row], list[Row]]]:
    """The groups of duplicates that marked photos belong to: all of the group, and which of it are marked."""
    found = []
    for name in dict.fromkeys(row["duplicate_of"] for row in marked):
        rows = pc.indices_nonzero(pc.fill_null(pc.equal(manifest.column("duplicate_of"), name), False)).to_numpy()
        group: list[Row] = [row for row in manifest.records(rows) if not row["is_synthetic"]]
        found.append((group, [row for row in marked if row["duplicate_of"] == name]))
    return found


def rows_named(manifest: ManifestRows, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Rows by `sample_id`, in that order. Raises CorrectionError if one is not in the version."""
    column = manifest.column("sample_id")
    rows = pc.indices_nonzero(pc.is_in(column, pa.array(ids, pa.string()))).to_numpy()
    found = {row["sample_id"]: row for row in manifest.records(rows)}
    if missing := [name for name in ids if name not in found]:
        raise CorrectionError(f"sample {missing[0]!r} is not in {manifest.version.ref}.")
    return [found[name] for name in ids]


def undo_of(said: Words, key: str) -> dict[str, str] | None:
    """What the undo button of a page would take back."""
    name, records = said.last_save(component.kind_of(key))
    return (
        {"name": name, "text": f"Take back {_labels_text(len(records))}, said at {records[0].time[:16]}"}
        if name
        else None
    )


def thumbnails(
    context: AppContext, rows: np.ndarray, ahead: np.ndarray
) -> tuple[list[dict[str, Any]], list[Thumbnail]]:
    """The records and thumbnails of rows (by number); those of `ahead` are begun."""
    shown = context.manifest.records(rows)
    made = load_thumbnails(context.store, shown, THUMBNAIL_PX)
    prefetch_thumbnails(context.store, context.manifest.records(ahead), THUMBNAIL_PX)
    return shown, made


def tile_of(row: Row, picture: Thumbnail, said: Words, context: AppContext, hint: str = "") -> Tile:
    """What the page says about a photo: as labelled, what is suspicious, what this annotator made of it."""
    return {
        "id": row["sample_id"],
        "src": picture.src,
        "w": picture.width_px,
        "h": picture.height_px,
        "problem": picture.problem,
        "head": f"{row['person_id']} · {row['shot'] or '–'}",
        "label": label_text(row, context),
        "hint": hint,
        "said": verdict(row, said, context.manifest.cuts),
        "out": said.of(row, "exclude") == "true",
        "href": review_link(context, row["person_id"]),
    }


def label_text(row: Row, context: AppContext) -> str:
    """Such as "female 45 · worn"; the class where the age is not known, a dash without a label."""
    age = row["age"] if row["age"] is not None else None
    if age is None and row["age_class"] is not None:
        age = age_names(context.manifest.cuts)[row["age_class"]]
    mask = text_of("mask", row["mask"], context.manifest.cuts) if row["mask"] else "–"
    return f"{row['gender'] or '–'} {'–' if age is None else age} · {mask}"


def review_link(context: AppContext, person: str) -> str:
    """The address of a person on the review page."""
    asked = {"manifest": context.manifest.version.ref, "by": context.annotator, "queue": "person", "at": person}
    return "./?" + urlencode({name: value for name, value in asked.items() if value})


def look(context: AppContext, sample: str) -> dict[str, Any] | None:
    """One photo large, beside the one that it was made from if the version has that; None if nothing is asked for."""
    if not sample:
        return None
    try:
        row = rows_named(context.manifest, [sample])[0]
    except CorrectionError:
        return None  # of a version that is no longer the one on the page
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
    """The photo that each synthetic picture was made from; None for a photo, or if it is no longer there."""
    asked = pa.array([row["source_id"] for row in rows if row["is_synthetic"]], pa.string())
    at = pc.indices_nonzero(pc.is_in(manifest.column("source_id"), asked)).to_numpy()
    found = {row["source_id"]: row for row in manifest.records(at) if not row["is_synthetic"]}
    return [found.get(row["source_id"]) if row["is_synthetic"] else None for row in rows]
