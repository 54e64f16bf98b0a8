"""Layout `imagefolder`: `metadata.csv` or `metadata.jsonl` with the column `file_name`, as in Hugging Face datasets."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from data_manifests.errors import ManifestError
from data_manifests.ingest.annotation_files.listing import Listing, as_text, find_files, ingest_listing
from data_manifests.ingest.csv_rows import read_csv, require_columns
from data_manifests.ingest.photo_rows import detect_hint
from data_manifests.ingest.records import PATH, Record
from data_manifests.taxonomy import AgeCuts

FILE_NAME = "file_name"
_NAMES = ("metadata.csv", "metadata.jsonl")


def ingest_imagefolder(
    source: Path,
    *,
    root_name: str,
    cuts: AgeCuts,
    columns: Mapping[str, str] | None = None,
    words: Mapping[tuple[str, str], str] | None = None,
    mask: str | None = None,
    cache: Path | None = None,
) -> pa.Table:
    """Read every `metadata.csv` and `metadata.jsonl` below `source`; `file_name` is relative to the file's folder.

    The columns of labels and their words are guessed unless `columns` and `words` give them, as for the layout table;
    others are kept as `x_…`. A folder `train`, `validation` or `test` is the split. mask: label of photos without one.
    Raises ManifestError if there is no such file, or one that cannot be read.
    """
    listing = read_imagefolder(source)
    if not listing.records:
        raise ManifestError(
            f"layout 'imagefolder' must have a metadata.csv or metadata.jsonl with the column {FILE_NAME}. "
            f"{str(source)!r} has none; {detect_hint(source)}"
        )
    return ingest_listing(listing, source, root_name, cuts, columns=columns, words=words, mask=mask, cache=cache)


def read_imagefolder(source: Path) -> Listing:
    """Return the rows of all metadata files below a folder. Raises ManifestError for one without `file_name`."""
    listing = Listing()
    files = [path for path in find_files(source, (".csv", ".jsonl")) if path.name.lower() in _NAMES]
    for path in files:
        name = path.relative_to(source).as_posix()
        folder = name.rpartition("/")[0]
        listing.files.append(name)
        at = f" of {name}" if len(files) > 1 else ""
        for number, values, problem in _rows(path):
            row = {key: text for key, text in values.items() if key not in (FILE_NAME, PATH)}
            listed = values.get(FILE_NAME, "").replace("\\", "/")
            row[PATH] = f"{folder}/{listed}" if folder and listed else listed
            listing.found += bool(listed) and os.path.isfile(source / row[PATH])
            listing.records.append(Record(f"row {number}{at}", row, (problem,) if problem else ()))
    return listing


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, str], str | None]]:
    """Yield line number, values and problem of each row."""
    if path.suffix.lower() == ".csv":
        header, rows = read_csv(path)
        require_columns(path, header, [FILE_NAME])
        yield from ((row.number, row.values, row.problem) for row in rows)
        return
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path.name!r} cannot be read: {error}.") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            if not isinstance(values, dict):
                raise ValueError("not an object")
        except ValueError as error:
            yield number, {FILE_NAME: ""}, f"row {number} is not JSON: {error}"
            continue
        yield number, {str(key): as_text(value) for key, value in values.items()}, None
