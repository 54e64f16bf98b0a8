"""Records of a list (rows of a CSV, entries of a JSON file) and their conversion to photos."""

from __future__ import annotations

import itertools
import logging
import os
import posixpath
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_manifests.errors import ManifestError, must_be_one_of
from data_manifests.ingest.guess_columns import suggest_values
from data_manifests.ingest.label_words import EMPTY_WORDS, AmbiguousAgeError, read_age_class, read_split, split_of_path
from data_manifests.ingest.photo_rows import (
    Photo,
    extra_name,
    find_on_disk,
    read_age,
    read_gender,
    read_mask,
    storable_path,
)
from data_manifests.photo_files import SUFFIXES, is_image_name
from data_manifests.taxonomy import MASKS, SHOT_MASK, SHOTS, AgeCuts

_log = logging.getLogger(__name__)
FIELDS = ("path", "person_id", "profile_id", "shot", "mask", "gender", "age", "age_class", "split")
PATH = "path"


@dataclass(frozen=True)
class Record:
    """One entry of a list. `place` is its position in words ("row 3"); any of `problems` fails the photo.

    A column that the entry does not mention is not in `values`. `conflicts` has the values of columns to which several
    annotations gave different values; if such a column is a label, the photo fails, else the values are kept together.
    `split` is that of the list, used if no folder of the photo names one.
    """

    place: str
    values: Mapping[str, str]
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    conflicts: Mapping[str, tuple[str, ...]] | None = None
    split: str | None = None


def check_fields(columns: Mapping[str, str], words: Mapping[tuple[str, str], str], mask: str | None) -> None:
    """Raise ManifestError for a field that does not exist, or a label or a translation that is not allowed."""
    if mask is not None and mask not in MASKS:
        raise ManifestError(must_be_one_of("mask", MASKS, mask))
    for name in [*columns, *(name for name, _ in words)]:
        if name not in FIELDS:
            raise ManifestError(must_be_one_of("field", FIELDS, name))
    for (name, word), value in words.items():
        if name in _READERS and value.lower() not in EMPTY_WORDS:
            try:
                _READERS[name](value, AgeCuts())
            except AmbiguousAgeError:
                continue
            except ManifestError as error:
                raise ManifestError(f"--value {shlex.quote(f'{name}:{word}={value}')}: {error}") from None


def foreign_folder(listed: Iterable[str], source: Path) -> str | None:
    """Return the folder that all listed paths are in, if all of them are absolute and outside `source`, else None.

    Such a list was made on another machine (`/content/drive/faces/a.jpg`): what follows the common folder is taken as
    relative to the photo folder.
    """
    paths = [text.replace("\\", "/") for text in listed if text]
    inside = f"{source.resolve().as_posix()}/"
    if not paths or not all(re.match(r"/|[A-Za-z]:/", path) and not path.startswith(inside) for path in paths):
        return None
    folders = [path.split("/")[:-1] for path in {path.rpartition("/")[0] + "/" for path in paths}]
    common = itertools.takewhile(lambda parts: len(set(parts)) == 1, zip(*folders, strict=False))
    return "/".join(parts[0] for parts in common)


def photos_of_records(
    records: Sequence[Record],
    source: Path,
    mapping: Mapping[str, str],
    *,
    cuts: AgeCuts,
    words: Mapping[tuple[str, str], str] | None = None,
    images: str = "",
    mask: str | None = None,
) -> list[Photo]:
    """Return one photo per record; `mapping` has the column of each field, and "" for a field that is not read.

    words: schema value of (field, word); images: folder to which paths are relative, itself relative to `source` (`..`
    if the paths begin with the name of `source`); mask: label of photos whose records have neither mask nor shot.
    Raises ManifestError if no word of a label's column is known.
    """
    reader = _RecordReader(source, {name: column for name, column in mapping.items() if column}, words or {}, images)
    reader.foreign = foreign_folder([record.values[mapping[PATH]] for record in records], source)
    photos = [reader.photo(record, mask, cuts) for record in records]
    reader.report_unknown_words()
    return photos


class _RecordReader:
    """Conversion of records; it notes the first record of each path, and the words that no label has."""

    def __init__(
        self, source: Path, mapping: Mapping[str, str], words: Mapping[tuple[str, str], str], images: str
    ) -> None:
        self.source, self.mapping, self.words, self.images = source, mapping, words, images
        self.mapped = set(mapping.values())
        self.foreign: str | None = None  # see `foreign_folder`
        self.place_of_path: dict[str, str] = {}
        self.unknown: dict[str, Counter[str]] = {}  # field → words that could not be read
        self.understood: set[str] = set()

    def photo(self, record: Record, mask: str | None, cuts: AgeCuts) -> Photo:
        path, problem = self._path(record.values[self.mapping[PATH]])
        path = path if problem != "path is empty" else f"(no path in {record.place})"
        person = self._text(record, "person_id") or path
        photo = Photo(
            path=path,
            person_id=person,
            profile_id=self._text(record, "profile_id") or person,
            split=None if "split" in self.mapping else split_of_path(path) or record.split,
            extras={
                extra_name(name): value or None for name, value in record.values.items() if name not in self.mapped
            },
            problems=[*record.problems, *([f"{problem} in {record.place}"] if problem else [])],
            remarks=list(record.remarks),
            has_file=problem is None,
        )
        before = self.place_of_path.setdefault(path, record.place)
        if before != record.place:
            photo.problems.append(f"path {path!r} of {record.place} stands in {before} already")
            photo.has_file = False
        for name in _READERS:
            self._read_label(record, photo, name, cuts)
        if "mask" not in self.mapping:
            photo.mask = SHOT_MASK[photo.shot] if photo.shot else mask
        if person == path and self.mapping.get("person_id") in record.values:
            photo.problems.append(f"person_id is empty in {record.place}")
        return photo

    def report_unknown_words(self) -> None:
        """Log the words that could not be read. Raises ManifestError if a column has no other words."""
        for name, counts in self.unknown.items():
            column = self.mapping[name]
            shown = ", ".join(f"{word!r} ({count})" for word, count in counts.most_common(5))
            message = f"column {column!r} has words that are no {name}: {shown}."
            if name not in ("age", "age_class"):
                message += f" Translate them, for example: {suggest_values(name, column, counts)}"
            message += f"; or leave it unread: --map {name}="
            if name not in self.understood:
                raise ManifestError(message)
            _log.warning("%s", message)

    def _path(self, text: str) -> tuple[str, str | None]:
        if not text:
            return storable_path("")
        if self.foreign is not None:
            text = text.replace("\\", "/")[len(self.foreign) + 1 :]
        file = Path(text)
        if file.is_absolute():  # allowed inside the folder
            return storable_path(_inside(self.source, text))
        listed = f"{self.images}/{text}" if self.images else text
        if self.images.startswith(".."):
            listed = _inside(self.source, f"{self.source.resolve().as_posix()}/{listed}")
        is_plain = listed.isascii() and is_image_name(file.name)
        return storable_path(listed if is_plain else self._as_on_disk(listed))

    def _as_on_disk(self, listed: str) -> str:
        """Return a path in the Unicode form of the file's name, with its suffix if the list omits it."""
        suffixes = ("",) if is_image_name(listed) else ("", *SUFFIXES, *map(str.upper, SUFFIXES))
        names = (find_on_disk(self.source, listed + suffix) for suffix in suffixes)
        return next((name for name in names if os.path.isfile(self.source / name)), listed)

    def _text(self, record: Record, name: str) -> str:
        return record.values.get(self.mapping[name], "") if name in self.mapping else ""

    def _read_label(self, record: Record, photo: Photo, name: str, cuts: AgeCuts) -> None:
        if self.mapping.get(name) not in record.values:
            return
        if values := (record.conflicts or {}).get(self.mapping[name]):
            photo.problems.append(f"{record.place} has {len(values)} values for {name}: {', '.join(values)}")
            return
        text = self._text(record, name)
        word = self.words.get((name, text), text)
        if word.lower() in EMPTY_WORDS:
            if name != "split":
                photo.remarks.append(f"{name} is empty in {record.place}")
            return
        try:
            setattr(photo, name, _READERS[name](word, cuts))
            self.understood.add(name)
        except AmbiguousAgeError as error:  # the label is correct, but too coarse for the age cuts
            photo.remarks.append(f"{error} in {record.place}")
            self.understood.add(name)
        except ManifestError as error:
            photo.problems.append(f"{error} in {record.place}")
            self.unknown.setdefault(name, Counter())[text] += 1


def _inside(source: Path, absolute: str) -> str:
    """Return an absolute path relative to the photo folder, or as it is if it lies outside."""
    path, root = Path(posixpath.normpath(absolute)), source.resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else absolute


def _read_shot(text: str) -> str:
    if text.lower() not in SHOTS:
        raise ManifestError(f"shot must be one of {{{', '.join(SHOTS)}}}, got {text!r}")
    return text.lower()


_READERS: dict[str, Callable[[str, AgeCuts], str | int]] = {
    "shot": lambda text, _: _read_shot(text),
    "mask": lambda text, _: read_mask(text),
    "gender": lambda text, _: read_gender(text),
    "age": lambda text, _: read_age(text),
    "age_class": read_age_class,
    "split": lambda text, _: read_split(text),
}
