"""Layout `table`: a CSV with one row per photo and any column names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa

from data_manifests.errors import ManifestError, must_be_one_of
from data_manifests.ingest.csv_rows import CsvRow, read_csv, require_columns
from data_manifests.ingest.photo_rows import (
    Photo,
    extra_name,
    photos_to_table,
    read_age,
    read_gender,
    read_mask,
    storable_path,
)
from data_manifests.taxonomy import MASKS, SHOT_MASK, SHOTS, AgeCuts

FIELDS = ("path", "person_id", "profile_id", "shot", "mask", "gender", "age")


def ingest_table(
    source: Path,
    *,
    root_name: str,
    cuts: AgeCuts,
    csv: str | None = None,
    columns: Mapping[str, str] | None = None,
    words: Mapping[tuple[str, str], str] | None = None,
    images: str = "",
    mask: str | None = "none",
    cache: Path | None = None,
) -> pa.Table:
    """Read a CSV that lists photos below the folder `source`.

    csv: file name of the CSV; may be omitted if the folder has only one.
    columns: CSV column of each field, such as {"path": "file"}; other fields are read from the column of the same
        name. Only `path` is required. Without `person_id` every photo is its own person. Further columns are kept as
        `x_…`.
    words: schema value of (field, word in the CSV), such as {("mask", "Masked"): "worn"}.
    images: folder below `source` to which the CSV's paths are relative.
    mask: label of photos where the CSV has neither mask nor shot; None for unknown.

    An empty label is null with a remark; an invalid one is null and fails the row. Raises ManifestError if the CSV
    cannot be read or lacks a column, or if an argument is not allowed.
    """
    if mask is not None and mask not in MASKS:
        raise ManifestError(must_be_one_of("mask", MASKS, mask))
    for name in [*(columns or {}), *(name for name, _ in words or {})]:
        if name not in FIELDS:
            raise ManifestError(must_be_one_of("field", FIELDS, name))
    path = source / csv if csv else _only_csv(source)
    header, rows = read_csv(path)
    require_columns(path, header, (columns or {}).values())
    mapping = {name: name for name in FIELDS if name in header} | dict(columns or {})
    if "path" not in mapping:
        require_columns(path, header, ["path"], " Name the column of the paths: --map path=COLUMN")
    reader = _RowReader(source, mapping, words or {}, images, mask)
    return photos_to_table([reader.photo(row) for row in rows], source, root_name, cuts, cache)


def _only_csv(source: Path) -> Path:
    if not source.is_dir():
        raise ManifestError(f"photo folder {str(source)!r} does not exist.")
    found = sorted(path for path in source.iterdir() if path.suffix.lower() == ".csv" and not path.name.startswith("."))
    if len(found) != 1:
        names = ", ".join(path.name for path in found)
        raise ManifestError(f"{str(source)!r} must contain one CSV. Got {{{names}}} instead; use --csv FILE.")
    return found[0]


class _RowReader:
    """Conversion of CSV rows to photos; it records the first row of each path to find duplicates."""

    def __init__(
        self,
        source: Path,
        mapping: Mapping[str, str],
        words: Mapping[tuple[str, str], str],
        images: str,
        mask: str | None,
    ) -> None:
        self.source, self.mapping, self.words, self.images, self.mask = source, mapping, words, images, mask
        self.mapped = set(mapping.values())
        self.row_of_path: dict[str, int] = {}

    def photo(self, row: CsvRow) -> Photo:
        path, problem = self._path(row.values[self.mapping["path"]])
        path = path if problem != "path is empty" else f"(no path in row {row.number})"
        person = self._text(row, "person_id") or path
        photo = Photo(
            path=path,
            person_id=person,
            profile_id=self._text(row, "profile_id") or person,
            extras={extra_name(name): value or None for name, value in row.values.items() if name not in self.mapped},
            problems=[text for text in (row.problem, problem and f"{problem} in row {row.number}") if text],
            has_file=problem is None,
        )
        before = self.row_of_path.setdefault(path, row.number)
        if before != row.number:
            photo.problems.append(f"path {path!r} of row {row.number} stands in row {before} already")
            photo.has_file = False
        for name, read in _READERS.items():
            self._read_label(row, photo, name, read)
        if "mask" not in self.mapping:
            photo.mask = SHOT_MASK[photo.shot] if photo.shot else self.mask
        if "person_id" in self.mapping and person == path:
            photo.problems.append(f"person_id is empty in row {row.number}")
        return photo

    def _path(self, text: str) -> tuple[str, str | None]:
        if not text:
            return storable_path("")
        file = Path(text)
        if file.is_absolute():  # allowed inside the folder
            root = self.source.resolve()
            return storable_path(file.relative_to(root).as_posix() if file.is_relative_to(root) else text)
        return storable_path(f"{self.images}/{text}" if self.images else text)

    def _text(self, row: CsvRow, name: str) -> str:
        return row.values[self.mapping[name]] if name in self.mapping else ""

    def _read_label(self, row: CsvRow, photo: Photo, name: str, read: Callable[[str], str | int]) -> None:
        if name not in self.mapping:
            return
        text = self._text(row, name)
        if not text:
            photo.remarks.append(f"{name} is empty in row {row.number}")
            return
        try:
            setattr(photo, name, read(self.words.get((name, text), text)))
        except ManifestError as error:
            photo.problems.append(f"{error} in row {row.number}")


def _read_shot(text: str) -> str:
    if text.lower() not in SHOTS:
        raise ManifestError(f"shot must be one of {{{', '.join(SHOTS)}}}, got {text!r}")
    return text.lower()


_READERS: dict[str, Callable[[str], str | int]] = {
    "shot": _read_shot,
    "mask": read_mask,
    "gender": read_gender,
    "age": read_age,
}
