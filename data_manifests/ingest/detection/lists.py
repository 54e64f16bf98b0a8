"""Detection of the layouts with a list of photos: CSV files, metadata files, and JSON of labelling tools."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_manifests.errors import ManifestError
from data_manifests.ingest.annotation_files import (
    Listing,
    find_files,
    is_coco,
    is_label_studio,
    read_coco,
    read_imagefolder,
    read_json,
    read_label_studio,
)
from data_manifests.ingest.csv_rows import CsvRow, read_csv
from data_manifests.ingest.detection.detected import NO_MASK_NOTE, DetectedLayout
from data_manifests.ingest.guess_columns import ColumnGuess, guess_columns
from data_manifests.ingest.label_words import split_of_file
from data_manifests.ingest.photo_rows import find_on_disk
from data_manifests.ingest.records import PATH, foreign_folder
from data_manifests.photo_files import is_image_name
from data_manifests.taxonomy import AgeCuts

_MIN_FOUND = 0.5  # share of the listed photos that exist
_SAMPLE = 200  # rows from which the column and the folder of the paths are guessed
_LABELS = ("mask", "gender", "age", "age_class", "shot", "person_id", "split")
_PATH_NAMES = ("path", "file", "filename", "file_name", "image", "image_path", "img", "image_id", "photo", "id", "name")
CSV_SUFFIXES = (".csv", ".tsv")


@dataclass(frozen=True)
class _Paths:
    """The column of the paths, the folder that precedes them, and how many of them exist."""

    column: str
    images: str
    found: int


@dataclass(frozen=True)
class _Csv:
    """One CSV that lists photos."""

    name: str
    header: Sequence[str]
    rows: Sequence[CsvRow]
    at: _Paths


def detect_profiles(root: Path) -> DetectedLayout | None:
    """Return the layout if a train.csv lists folders of `images/` that exist."""
    for path in find_files(root, (".csv",)):
        if path.name != "train.csv":
            continue
        try:
            header, rows = read_csv(path)
        except ManifestError:
            continue
        if not {"id", "gender", "age", "path"} <= set(header):
            continue
        folders = (f"images/{row.values['path']}" for row in rows if row.values["path"])
        found = sum(os.path.isdir(path.parent / find_on_disk(path.parent, folder)) for folder in folders)
        if found >= _MIN_FOUND * len(rows):
            evidence = "train.csv has the columns id, gender, age, path; "
            evidence += f"{found:,} of {len(rows):,} folders images/<path> exist"
            return DetectedLayout(path.parent, "profiles", {}, evidence, has_labels=True)
    return None


def detect_tables(root: Path, paths: Sequence[str], only: Path | None = None) -> tuple[list[DetectedLayout], list[str]]:
    """Return the CSV files that list photos, largest first, and what is wrong with the others.

    Files with the same columns that are named after splits (`train.csv`, `labels_val.csv`) are one table.
    """
    by_name: dict[str, list[str]] = {}
    paths = [unicodedata.normalize("NFC", path) for path in paths]  # macOS takes letters such as 한 or é apart
    for path in paths:
        by_name.setdefault(path.rpartition("/")[2], []).append(path)
        by_name.setdefault(path.rpartition("/")[2].rpartition(".")[0], []).append(path)
    known, notes = {*paths, *(path.rpartition(".")[0] for path in paths)}, []
    groups: dict[tuple[str, ...], list[_Csv]] = {}
    for file in [only] if only else find_files(root, CSV_SUFFIXES):
        name = file.relative_to(root).as_posix()
        try:
            header, rows = read_csv(file)
        except ManifestError as error:
            notes.append(f"{name} is not used: {error}")
            continue
        at = _find_paths(root, header, rows, by_name, known)
        if at is None:
            first = ", ".join(f"{key}={rows[0].values[key]!r}" for key in header[:4])
            notes.append(
                f"{name} is not used: no column has the names of photos below {str(root)!r}; its first row is {first}"
            )
        elif at.found < _MIN_FOUND * len(rows):
            notes.append(f"{name} is not used: {at.found:,} of its {len(rows):,} photos exist below {str(root)!r}")
        else:
            key = (*header, at.column, at.images) if split_of_file(name) else (name,)
            groups.setdefault(key, []).append(_Csv(name, header, rows, at))
    tables = [(sum(one.at.found for one in group), _table(root, group, len(paths))) for group in groups.values()]
    tables.sort(key=lambda one: (not one[1].has_labels, -one[0], one[1].evidence))
    return [table for _, table in tables], notes


def _table(root: Path, group: Sequence[_Csv], photos: int) -> DetectedLayout:
    names = [one.name for one in group]
    header, at = group[0].header, group[0].at
    rows = [row.values for one in group for row in one.rows]
    guess = guess_columns(header, rows, skip=[at.column])
    columns = {PATH: at.column, **guess.columns}
    arguments: dict[str, object] = {"csv": names[0] if len(names) == 1 else tuple(names)}
    if mapped := {field: column for field, column in columns.items() if field != column}:
        arguments["columns"] = mapped
    if guess.words:
        arguments["words"] = dict(guess.words)
    if at.images:
        arguments["images"] = at.images
    used = {column: field for field, column in columns.items() if column}
    shown = ", ".join(
        f"{column} ({used[column]})" if column in used and used[column] != column else column for column in header[:12]
    )
    found = sum(one.at.found for one in group)
    listed = " and ".join(names)
    evidence = f"{listed} {'has' if len(names) == 1 else 'have'} the columns {shown}; "
    evidence += f"{found:,} of {len(rows):,} paths exist"
    notes = [*guess.notes]
    if photos > found:
        notes.append(f"{photos - found:,} photos of the folder are not in {listed}")
    has_labels = any(guess.columns.get(field) for field in _LABELS)
    return DetectedLayout(root, "table", arguments, evidence, has_labels, (*notes, *_mask_notes(guess)))


def _mask_notes(guess: ColumnGuess) -> list[str]:
    """Return a note for a list with gender or age that has nothing on masks."""
    has_others = any(guess.columns.get(field) for field in ("gender", "age", "age_class"))
    if not has_others or "mask" in guess.columns or "shot" in guess.columns:
        return []
    return [f"no column gives a mask label; {NO_MASK_NOTE}"]


def _find_paths(
    root: Path, header: Sequence[str], rows: Sequence[CsvRow], by_name: Mapping[str, list[str]], known: set[str]
) -> _Paths | None:
    """Return the column whose values are files, and the folder to which they are relative; None if there is none."""
    best: _Paths | None = None
    own_name = unicodedata.normalize("NFC", root.resolve().name)
    step = max(1, len(rows) // _SAMPLE)
    for name in sorted(header, key=lambda name: name.lower() not in _PATH_NAMES):  # stable: else in the file's order
        folders: Counter[str] = Counter()
        foreign = foreign_folder((row.values[name] for row in rows), root)
        folder = f"{root.resolve().as_posix() if foreign is None else foreign}/"
        is_name = name.lower() in _PATH_NAMES  # an age such as 37 may be the name of 37.jpg too
        for row in rows[::step]:
            text = _relative(folder, row.values[name])
            for path in by_name.get(text.rpartition("/")[2], []):
                has_suffix = is_image_name(text)
                listed = path if has_suffix else path.rpartition(".")[0]  # some lists omit the suffix
                if not (has_suffix or is_name):
                    continue
                if listed == text or listed.endswith(f"/{text}"):
                    folders[listed.removesuffix(text).rstrip("/")] += 1
                elif text == f"{own_name}/{listed}":
                    folders[".."] += 1
        if not folders:
            continue
        images = min(folders, key=lambda folder: (-folders[folder], len(folder), folder))
        prefix = f"{images}/" if images else ""
        if images == "..":
            prefix, folder = "", f"{own_name}/"
        found = sum(prefix + _relative(folder, row.values[name]) in known for row in rows)
        if best is None or found > best.found:
            best = _Paths(name, images, found)
    return best


def _relative(folder: str, text: str) -> str:
    """Return a listed path relative to the photo folder, whose full path with a final slash is `folder`."""
    return unicodedata.normalize("NFC", text.replace("\\", "/").removeprefix("./")).removeprefix(folder)


def detect_imagefolder(root: Path) -> DetectedLayout | None:
    """Return the layout if metadata files with `file_name` list photos that exist."""
    try:
        listing = read_imagefolder(root)
    except ManifestError:
        return None  # another metadata.csv, which may be a table
    return _of_listing(root, "imagefolder", listing, {})


def detect_json(root: Path, cuts: AgeCuts, only: Path | None = None) -> tuple[list[DetectedLayout], list[str]]:
    """Return the layouts of JSON files from labelling tools, and what is wrong with the others."""
    kinds, notes = set(), []
    for file in [only] if only else find_files(root, (".json",)):
        try:
            content = read_json(file)
        except ManifestError as error:
            notes.append(str(error))
            continue
        kinds |= {"coco"} if is_coco(content) else {"label_studio"} if is_label_studio(content) else set()
    found = []
    name = only.relative_to(root).as_posix() if only else None
    arguments = {"annotations": name} if name else {}
    for layout in sorted(kinds):
        listing = read_coco(root, cuts, name) if layout == "coco" else read_label_studio(root, name)
        detected = _of_listing(root, layout, listing, arguments)
        if detected:
            found.append(detected)
        else:
            count = f"{listing.found:,} of its {len(listing.records):,} photos exist below {str(root)!r}"
            notes.append(f"{listing.files[0]} ({layout}) is not used: {count}")
    return found, notes


def _of_listing(root: Path, layout: str, listing: Listing, arguments: Mapping[str, str]) -> DetectedLayout | None:
    total = len(listing.records)
    if not total or listing.found < _MIN_FOUND * total:
        return None
    guess = listing.guess()
    used = {column: field for field, column in guess.columns.items() if column}
    shown = ", ".join(f"{one} ({used[one]})" if used.get(one, one) != one else one for one in listing.columns[:12])
    files = listing.files[0] + (f" and {len(listing.files) - 1} more" if len(listing.files) > 1 else "")
    evidence = f"{files} has {shown or 'no labels'}; {listing.found:,} of {total:,} photos exist"
    return DetectedLayout(root, layout, dict(arguments), evidence, bool(used), (*guess.notes, *_mask_notes(guess)))
