"""Detection of the layout of a photo folder, a CSV or a JSON file, by the share of names and paths that fit."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data_manifests.errors import ManifestError
from data_manifests.ingest.detection.detected import DetectedLayout
from data_manifests.ingest.detection.lists import (
    CSV_SUFFIXES,
    detect_imagefolder,
    detect_json,
    detect_profiles,
    detect_tables,
)
from data_manifests.ingest.detection.photo_names import detect_folder, detect_plain, detect_utkface
from data_manifests.ingest.photo_rows import walk_images
from data_manifests.taxonomy import AgeCuts

_MAX_BESIDE = 20  # lists beside the folder that are looked at
_UNREAD = (".xml", ".parquet", ".arrow", ".mat", ".xlsx", ".pkl", ".npy", ".txt")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")


def detect_layout(source: Path, cuts: AgeCuts | None = None) -> DetectedLayout:
    """Return what a folder, a CSV or TSV, or a JSON file is, with the arguments that ingest it and the evidence.

    Lists with labels come before labels in names, and those before photos without labels; `others` has what fits too.
    The same files always give the same result. Raises ManifestError for a source that does not exist, has no photo, or
    is a list whose photos are not found; the message states what was found.
    """
    cuts = cuts or AgeCuts()
    if source.is_file():
        return _detect_list(source, cuts)
    if not source.is_dir():
        raise ManifestError(f"photo folder {str(source)!r} does not exist.")
    paths, _ = walk_images(source)
    if not paths:
        raise ManifestError(_no_photo(source))
    tables, table_notes = detect_tables(source, paths)
    exports, export_notes = detect_json(source, cuts)
    # In this order: a more specific format first.
    candidates = [detect_profiles(source), detect_imagefolder(source), *exports, *tables]
    candidates += [detect_utkface(source, paths), detect_folder(source, paths, cuts), detect_plain(source, paths)]
    fitting = [one for one in candidates if one is not None]
    fitting.sort(key=lambda one: not one.has_labels)  # stable
    best, others = fitting[0], fitting[1:]
    if not best.has_labels:
        table_notes += [*_lists_beside(source, paths), *_unread_files(source)]
    unused = () if best.layout in ("profiles", "imagefolder") else (*table_notes, *export_notes)
    return replace(best, notes=(*best.notes, *unused), others=tuple(others))


def _detect_list(file: Path, cuts: AgeCuts) -> DetectedLayout:
    """Return the layout of one list, whose photos are in its folder or in the folder above."""
    suffix = file.suffix.lower()
    if suffix not in (*CSV_SUFFIXES, ".json", ".jsonl"):
        raise ManifestError(
            f"{str(file)!r} must be a folder, a CSV, TSV or JSON file. For photos of the folder around it: "
            f"facecurate ingest {file.parent}"
        )
    if file.name.lower() in ("train.csv", "metadata.csv", "metadata.jsonl"):
        specific = detect_profiles(file.parent) if file.name == "train.csv" else detect_imagefolder(file.parent)
        if specific and specific.root == file.parent:
            return specific
    notes: list[str] = []
    for root in (file.parent, file.parent.parent):
        paths, _ = walk_images(root)
        if suffix in CSV_SUFFIXES:
            found, notes = detect_tables(root, paths, only=file)
        else:
            found, notes = detect_json(root, cuts, only=file)
        if found:
            return found[0]
    reason = notes[0] if notes else f"{file.name} is neither COCO nor an export of Label Studio"
    raise ManifestError(f"{reason}. Put the list beside its photos, or name their folder: facecurate ingest FOLDER")


def _lists_beside(source: Path, paths: Sequence[str]) -> list[str]:
    """Return a note for each CSV beside a folder that lists its photos, with the command that reads it."""
    folder = source.resolve()
    listed = [f"{folder.name}/{path}" for path in paths]
    try:
        files = sorted(path for path in folder.parent.iterdir() if path.suffix.lower() in CSV_SUFFIXES)
    except OSError:  # a folder above that may not be read
        return []
    found = [path for path in files[:_MAX_BESIDE] if detect_tables(folder.parent, listed, only=path)[0]]
    return [
        f"{path.name} beside the folder lists its photos; to read it: facecurate ingest {shlex.quote(str(path))}"
        for path in found
    ]


def _unread_files(source: Path) -> list[str]:
    """Return a note on files that may hold labels in a format that is not read, such as Pascal VOC."""
    suffixes = _count_suffixes(source)
    found = ", ".join(f"{suffixes[suffix]:,} × {suffix}" for suffix in _UNREAD if suffixes[suffix])
    if not found:
        return []
    return [f"not read: {found}; labels are read from CSV, TSV, metadata.jsonl, COCO and Label Studio files"]


def _no_photo(source: Path) -> str:
    """Return the message for a folder without photos, with the files that it has."""
    suffixes = _count_suffixes(source)
    ranked = sorted(suffixes, key=lambda suffix: (-suffixes[suffix], suffix))
    found = ", ".join(f"{suffixes[suffix]:,} × {suffix}" for suffix in ranked[:5]) or "no file"
    message = f"{str(source)!r} contains no photo (.jpg, .png, .webp, …). Found: {found}."
    if any(suffix in _ARCHIVES for suffix in ranked):
        message += " Unpack the archive first."
    return message


def _count_suffixes(source: Path) -> Counter[str]:
    names = (name for _, _, names in os.walk(source) for name in names if not name.startswith("."))
    return Counter(os.path.splitext(name)[1].lower() or "no suffix" for name in names)
