"""Layout `table`: a CSV with one row per photo and any column names."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

import pyarrow as pa

from data_manifests.errors import ManifestError
from data_manifests.ingest.csv_rows import CsvRow, read_csv, require_columns
from data_manifests.ingest.label_words import EMPTY_WORDS, SPLIT_WORDS, age_range, split_of_file
from data_manifests.ingest.photo_rows import photos_to_table
from data_manifests.ingest.records import FIELDS, PATH, Record, check_fields, photos_of_records
from data_manifests.taxonomy import AgeCuts


def ingest_table(
    source: Path,
    *,
    root_name: str,
    cuts: AgeCuts,
    csv: str | Sequence[str] | None = None,
    columns: Mapping[str, str] | None = None,
    words: Mapping[tuple[str, str], str] | None = None,
    images: str = "",
    mask: str | None = None,
    cache: Path | None = None,
) -> pa.Table:
    """Read a CSV that lists photos below the folder `source`.

    csv: file name of the CSV, or of several with the same columns; may be omitted if the folder has only one.
    columns: CSV column of each field, such as {"path": "file"}; other fields are read from the column of the same
        name, unless they are mapped to "". Only `path` is required. Without `person_id` every photo is its own person.
        Further columns are kept as `x_…`.
    words: schema value of (field, word in the CSV), such as {("mask", "Masked"): "worn"}.
    images: folder below `source` to which the CSV's paths are relative.
    mask: label of photos where the CSV has neither mask nor shot; None for unknown.

    A split comes from the column `split`, if all of its words name one, else from folders such as `train`, or from the
    names of several CSVs. An empty label is null with a remark; an invalid one is null and fails the row. Raises
    ManifestError if a CSV cannot be read or lacks a column, if no word of a label's column is known, or if an argument
    is not allowed.
    """
    check_fields(columns or {}, words or {}, mask)
    names = [csv] if isinstance(csv, str) else csv or [_only_csv(source).name]
    records: list[Record] = []
    mapping: dict[str, str] = {}
    for name in names:
        header, rows = read_csv(source / name)
        if records and header != list(records[0].values):
            raise ManifestError(f"CSVs must have the same columns. {name!r} differs from {names[0]!r}; use --csv FILE.")
        mapping = _mapping(source, name, header, rows, columns or {}, images)
        at, split = (f" of {name}", split_of_file(name)) if len(names) > 1 else ("", None)
        for row in rows:
            problems = (row.problem,) if row.problem else ()
            records.append(Record(f"row {row.number}{at}", row.values, problems, split=split))
    photos = photos_of_records(records, source, mapping, cuts=cuts, words=words, images=images, mask=mask)
    return photos_to_table(photos, source, root_name, cuts, cache)


def _mapping(
    source: Path, name: str, header: list[str], rows: list[CsvRow], columns: Mapping[str, str], images: str
) -> dict[str, str]:
    """Return the column of each field of one CSV. Raises ManifestError for a missing column."""
    path = source / name
    for field, column in columns.items():
        if column:
            likely = (*get_close_matches(column, header, 1), "COLUMN")[0]
            require_columns(path, header, [column], f" Name another: --map {shlex.quote(f'{field}={likely}')}")
    mapping = {field: field for field in _fields_of(header, rows)} | dict(columns)
    if not mapping.get(PATH):
        found = _path_column(source, header, rows, images)
        require_columns(path, header, [PATH], f" Name the column of the paths: --map path={found}")
    return mapping


def _fields_of(header: list[str], rows: list[CsvRow]) -> list[str]:
    """Return the fields that columns of the same name hold.

    Other data sets use `split` and `age_class` for other things (folds, numbers), and 0.1.0 kept them as `x_…`: they
    are fields only if all of their words are understood.
    """
    understood = {"split": lambda word: word in SPLIT_WORDS, "age_class": lambda word: age_range(word) is not None}
    fields = [field for field in FIELDS if field in header]
    return [
        field
        for field in fields
        if field not in understood
        or all(understood[field](word) for row in rows if (word := row.values[field].lower()) not in EMPTY_WORDS)
    ]


def _path_column(source: Path, header: list[str], rows: list[CsvRow], images: str) -> str:
    """Return the first column whose values are files, for a message; "COLUMN" if there is none."""
    folder = source / images
    for name in header:
        if any(row.values[name] and os.path.isfile(folder / row.values[name]) for row in rows[:100]):
            return name
    return "COLUMN"


def _only_csv(source: Path) -> Path:
    if not source.is_dir():
        raise ManifestError(f"photo folder {str(source)!r} does not exist.")
    found = sorted(
        path for path in source.iterdir() if path.suffix.lower() in (".csv", ".tsv") and not path.name.startswith(".")
    )
    if len(found) != 1:
        names = ", ".join(path.name for path in found)
        raise ManifestError(f"{str(source)!r} must contain one CSV. Got {{{names}}} instead; use --csv FILE.")
    return found[0]
