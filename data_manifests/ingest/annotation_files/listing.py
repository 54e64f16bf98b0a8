"""Photos and their labels as annotation files list them, and the ingest of such a listing."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_manifests import files
from data_manifests.errors import ManifestError
from data_manifests.ingest.guess_columns import ColumnGuess, guess_columns
from data_manifests.ingest.photo_rows import photos_to_table, walk_images
from data_manifests.ingest.records import PATH, Record, check_fields, photos_of_records
from data_manifests.taxonomy import AgeCuts

_log = logging.getLogger(__name__)
_MAX_DEPTH = 2  # levels below the source in which annotation files are looked for


@dataclass
class Listing:
    """The records of annotation files; `path` in their values is relative to the source, as on disk.

    files: the annotation files read (relative, POSIX); found: the number of records whose photo exists.
    """

    files: list[str] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    found: int = 0

    @property
    def columns(self) -> list[str]:
        """The names of all values except the path, in order of appearance."""
        return list(dict.fromkeys(name for record in self.records for name in record.values if name != PATH))

    def guess(self) -> ColumnGuess:
        """Return which column holds which label, by their names and values."""
        rows = [{**record.values, **dict.fromkeys(record.conflicts or (), "")} for record in self.records]
        return guess_columns(self.columns, rows)


def ingest_listing(
    listing: Listing,
    source: Path,
    root_name: str,
    cuts: AgeCuts,
    *,
    columns: Mapping[str, str] | None,
    words: Mapping[tuple[str, str], str] | None,
    mask: str | None,
    cache: Path | None,
) -> pa.Table:
    """Return the manifest table of a listing. Columns and words that are not given are guessed.

    Raises ManifestError for a column that does not exist, or if no word of a label's column is known.
    """
    check_fields(columns or {}, words or {}, mask)
    for name, column in (columns or {}).items():
        if column and column not in listing.columns:
            known = ", ".join(listing.columns)
            raise ManifestError(f"{listing.files[0]}: no column {column!r} among {{{known}}}; use --map {name}=COLUMN")
    guess = listing.guess()
    for note in guess.notes:
        _log.warning("%s", note)
    mapping = guess.columns | dict(columns or {}) | {PATH: PATH}
    photos = photos_of_records(
        listing.records, source, mapping, cuts=cuts, words=guess.words | dict(words or {}), mask=mask
    )
    unlisted = set(walk_images(source)[0]) - {photo.path for photo in photos}
    if unlisted:
        _log.warning(
            "ignored %d photos that %s does not list, such as %s", len(unlisted), listing.files[0], min(unlisted)
        )
    return photos_to_table(photos, source, root_name, cuts, cache)


def find_files(source: Path, suffixes: Iterable[str]) -> Iterator[Path]:
    """Yield the files with one of the suffixes in a folder and two levels below it, sorted; hidden ones are skipped."""
    suffixes = tuple(suffixes)
    for folder, folders, names in os.walk(source):
        depth = len(Path(folder).relative_to(source).parts)
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if depth < _MAX_DEPTH else []
        for name in sorted(names):
            if name.lower().endswith(suffixes) and not name.startswith("."):
                yield Path(folder) / name


def read_json(path: Path) -> Any:
    """Return the content of a JSON file. Raises ManifestError if it is too large or no JSON."""
    try:
        return files.read_json(path)
    except ManifestError as error:
        raise ManifestError(f"annotation file {error}") from None


def as_text(value: Any) -> str:
    """Return a JSON value as the text of one cell: 37 for 37.0, JSON for lists and objects, "" for null."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def merge_values(values: Mapping[str, Iterable[str]]) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Return one text per column, and the columns to which several annotations gave different values."""
    merged: dict[str, str] = {}
    conflicts: dict[str, tuple[str, ...]] = {}
    for name, given in values.items():
        distinct = tuple(dict.fromkeys(text for text in given if text))
        merged[name] = " | ".join(distinct)
        if len(distinct) > 1:
            conflicts[name] = distinct
    return merged, conflicts
