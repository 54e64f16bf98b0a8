"""The correction log: what people decided about labels, as CSV files that are only ever appended to.

One line is one record. `docs/corrections.md` describes the columns; `apply.py` brings records into a manifest.
Text is UTF-8. Line breaks and backslashes are written as `\\n`, `\\r` and `\\\\`, so that a record torn by a power cut
can never swallow the next one; a text that a spreadsheet would run as a formula gets a leading apostrophe.
"""

from __future__ import annotations

import csv
import io
import os
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from dataclasses import field as with_default
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
from filelock import FileLock

from data_manifests.errors import CorrectionError, must_be_one_of
from data_manifests.taxonomy import GENDERS, MASKS, MAX_AGE, MIN_AGE, N_AGE_CLASSES

SCOPES = ("sample", "person")
TRUTH = ("false", "true")
CLASS_PREFIX = "class:"  # an age class instead of an age: class:0, class:1, class:2
UNSURE = "unsure"  # a note that the annotator looked and could not tell; it changes no label
CHOICES = {"mask": MASKS, "gender": GENDERS, "exclude": TRUTH, UNSURE: TRUTH}
FIELDS = ("mask", "gender", "age", "exclude")  # what a record can change
MAX_NOTE = 10_000  # characters; Python's CSV reader gives up at 131,072

_MANIFEST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*@[1-9]\d*#[0-9a-f]{8,64}")
_NAME = re.compile(r"\w[^;()\r\n]*")  # it becomes part of a row's `reason`
_SHA256 = re.compile(r"[0-9a-f]{64}")
_AGE_CLASSES = tuple(f"{CLASS_PREFIX}{k}" for k in range(N_AGE_CLASSES))
_FORMULA = re.compile(r"'*[=+\-@\t]")  # what spreadsheets run, with the apostrophes that quote it
_ESCAPE = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_UNESCAPE = {escaped: plain for plain, escaped in _ESCAPE.items()}


def _now() -> str:
    return datetime.now(UTC).isoformat()


@dataclass(frozen=True)
class Correction:
    """One record: an annotator says that a label should be `new`. All values are texts, as in the CSV."""

    manifest: str  # the version that the annotator saw, such as "faces@2#9f86d081"
    sample_id: str
    person_id: str
    scope: str
    field: str
    old: str
    new: str  # empty: the annotator takes back what they said before
    annotator: str
    note: str = ""
    image_sha256: str = ""
    correction_id: str = with_default(default_factory=lambda: secrets.token_hex(8))
    time: str = with_default(default_factory=_now)


COLUMNS = (
    "correction_id", "manifest", "sample_id", "person_id", "scope", "field", "old", "new", "annotator", "time", "note",
    "image_sha256",
)  # fmt: skip
_ORDER = [[f.name for f in fields(Correction)].index(name) for name in COLUMNS]


def problem_of(record: Correction) -> str:
    """What is wrong with a record, in one line; empty if nothing is."""
    if not record.correction_id:
        return "correction_id must not be empty."
    if not _MANIFEST.fullmatch(record.manifest):
        return f"manifest must be a version with its hash, such as faces@2#9f86d081. Got {record.manifest!r} instead."
    if record.scope not in SCOPES:
        return must_be_one_of("scope", SCOPES, record.scope)
    if not getattr(record, f"{record.scope}_id"):
        return f"{record.scope}_id must not be empty when scope is {record.scope}."
    if record.field not in (*FIELDS, UNSURE):
        return must_be_one_of("field", (*FIELDS, UNSURE), record.field)
    if (record.scope, record.field) == ("person", "mask"):
        return "scope must be sample when field is mask: a person's shots differ in it."
    for name, value in (("old", record.old), ("new", record.new)):
        if problem := _value_problem(record.field, name, value):
            return problem
    if not is_name(record.annotator):
        return f"annotator must be a name in one line without ';' or brackets. Got {record.annotator!r} instead."
    if not _is_aware(record.time):
        return f"time must be ISO 8601 with a zone, such as 2026-11-20T12:00:00Z. Got {record.time!r} instead."
    if len(record.note) > MAX_NOTE:
        return f"note must have at most {MAX_NOTE} characters. Got {len(record.note)} instead."
    if record.image_sha256 and not _SHA256.fullmatch(record.image_sha256):
        return f"image_sha256 must be 64 hex digits or empty. Got {record.image_sha256!r} instead."
    return ""


def _value_problem(what: str, name: str, value: str) -> str:
    if not value and not (what in ("exclude", UNSURE) and name == "old"):
        return ""
    if what != "age":
        allowed = CHOICES[what]
        return "" if value in allowed else must_be_one_of(f"{name} of {what}", allowed, value)
    if value in _AGE_CLASSES:
        return ""
    if value.isascii() and value.isdecimal() and len(value) <= 3 and MIN_AGE <= int(value) <= MAX_AGE:
        return ""
    return must_be_one_of(f"{name} of age", (f"{MIN_AGE} to {MAX_AGE}", *_AGE_CLASSES), value)


def _is_aware(time: str) -> bool:
    try:
        return datetime.fromisoformat(time).tzinfo is not None
    except ValueError:
        return False


def is_name(text: str) -> bool:
    """Whether a log can carry this as an annotator's name."""
    return _NAME.fullmatch(text) is not None


def append_correction(path: Path, correction: Correction) -> None:
    """Add a record to a log and return when it is on the disk. Any number of processes may write to one log.

    Raises CorrectionError for a record that `problem_of` refuses, or if the file is not a correction log.
    """
    append_corrections(path, [correction])


def append_corrections(path: Path, corrections: Sequence[Correction]) -> None:
    """Add records to a log in one write, all or, if one is refused, none; see `append_correction`."""
    lines = b"".join(_line_of(correction) for correction in corrections)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")), path.open("a+b") as file:
        file.seek(0)
        header = file.readline()
        if not header:
            lines = to_line(COLUMNS).encode() + lines
        elif tuple(header.decode("utf-8-sig", "replace").rstrip("\r\n").split(",")) != COLUMNS:
            raise CorrectionError(f"{path} is not a correction log in this toolkit's order of columns; use a new file.")
        elif not _ends_with_newline(file):  # the last record was torn: leave it alone on its line
            lines = b"\n" + lines
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())


def _line_of(correction: Correction) -> bytes:
    if problem := problem_of(correction):
        raise CorrectionError(problem)
    values = astuple(correction)
    try:
        return to_line([values[i] for i in _ORDER]).encode()
    except UnicodeEncodeError:
        raise CorrectionError(f"a correction must be text that UTF-8 can hold. Got {values!r} instead.") from None


def _ends_with_newline(file: io.BufferedRandom) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def read_corrections(paths: Sequence[Path]) -> pa.Table:
    """Read logs into one table: the columns of the CSV (text), `file`, `line` (from 1) and `problem` (empty if none).

    A broken line keeps its place with its problem, and the rest goes on. A record that stands in several files counts
    once. Raises CorrectionError for a file that is no correction log at all.
    """
    rows = [row for path in paths for row in _read_log(Path(path))]
    rows = _without_repeats(rows)
    columns = list(zip(*rows, strict=True)) or [()] * (len(COLUMNS) + 3)
    types = [pa.string()] * (len(COLUMNS) + 1) + [pa.int64(), pa.string()]
    arrays = [pa.array(values, type_) for values, type_ in zip(columns, types, strict=True)]
    return pa.table(arrays, [*COLUMNS, "file", "line", "problem"])


_Row = tuple[object, ...]  # the columns of the CSV, file, line, problem


def _read_log(path: Path) -> list[_Row]:
    try:
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except OSError as error:
        raise CorrectionError(f"correction log {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise CorrectionError(f"correction log {path} must be UTF-8; byte {error.start} is not.") from None
    header = read_header(lines[0].rstrip("\r"), path)
    places = _places_in(header)
    rows = []
    for number, line in enumerate(lines[1:], 2):
        if line.strip():
            values, problem = _read_line(line.removesuffix("\r"), len(header), places)
            rows.append((*values, path.name, number, problem))
    return rows


def read_header(line: str, path: Path) -> tuple[str, ...]:
    """The columns that the first line of a log names. Raises CorrectionError if it is no correction log."""
    header = tuple(next(csv.reader([line]), []))
    if missing := [name for name in COLUMNS if name not in header]:
        raise CorrectionError(
            f"{path} is not a correction log: it has no column {missing[0]!r}. Columns: {', '.join(COLUMNS)}."
        )
    return header


def read_record(line: str, header: tuple[str, ...]) -> tuple[Correction | None, str]:
    """A line of a log with those columns → its record, or None and what is wrong with it."""
    values, problem = _read_line(line, len(header), _places_in(header))
    return (None, problem) if problem else (Correction(**dict(zip(COLUMNS, values, strict=True))), "")


@lru_cache
def _places_in(header: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(header.index(name) for name in COLUMNS)


def _read_line(line: str, width: int, places: Sequence[int]) -> tuple[list[str], str]:
    try:
        cells = next(csv.reader([line], strict=True))
    except csv.Error as error:
        return [""] * len(COLUMNS), f"is not a line of CSV: {error}."
    if len(cells) != width:
        return [""] * len(COLUMNS), f"must have {width} cells, as the first line has. Got {len(cells)} instead."
    values = [cells[place] for place in places]
    if "\\" in line or "'" in line:  # most lines have nothing to undo
        values = [_from_cell(value) for value in values]
    return values, problem_of(Correction(**dict(zip(COLUMNS, values, strict=True))))


def _without_repeats(rows: list[_Row]) -> list[_Row]:
    """Keep the first of equal records; records that differ under one id are all marked, as none is to be believed."""
    first: dict[object, _Row] = {}
    clashing = set()
    for row in rows:
        name, said = row[0], row[: len(COLUMNS)]
        if first.setdefault(name, row)[: len(COLUMNS)] != said:
            clashing.add(name)
    clash = "correction_id stands in records that differ."
    kept = [row for row in rows if row[-1] or row is first[row[0]] or row[0] in clashing]
    return [(*row[:-1], clash) if row[0] in clashing and not row[-1] else row for row in kept]


def to_line(cells: Iterable[str]) -> str:
    """Cells → one line of CSV, newline included, that no spreadsheet takes for formulas."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([_to_cell(cell) for cell in cells])
    return text.getvalue()


def _to_cell(text: str) -> str:
    text = re.sub(r"[\\\n\r]", lambda found: _ESCAPE[found[0]], text)
    return f"'{text}" if _FORMULA.match(text) else text


def _from_cell(cell: str) -> str:
    text = cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
    if "\\" not in text:
        return text
    return re.sub(r"\\[\\nr]", lambda found: _UNESCAPE[found[0]], text)
