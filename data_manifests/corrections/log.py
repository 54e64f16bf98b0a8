"""Correction logs: CSV files of corrections that are only ever appended to.

One line is one record. Text is UTF-8. Line breaks and backslashes are written as `\\n`, `\\r` and `\\\\`, so that a
record that a power cut left incomplete cannot run into the next one; a text that a spreadsheet would run as a formula
gets a leading apostrophe.

A log whose first line lacks the columns `save_id` and `undoes` (written by version 0.1) is read as it is. The first
append to it adds them: the file is replaced in one step by a copy in which each line ends with two empty cells.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from operator import attrgetter
from pathlib import Path

import pyarrow as pa
from filelock import FileLock

from data_manifests.corrections.record import ADDED_COLUMNS, COLUMNS, FIRST_COLUMNS, Correction, problem_of
from data_manifests.errors import CorrectionError

_FORMULA = re.compile(r"'*[=+\-@\t]")  # what spreadsheets run, with the apostrophes that quote it
_ESCAPE = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_UNESCAPE = {escaped: plain for plain, escaped in _ESCAPE.items()}
_LEGACY_UNDO_NOTE = re.compile(r"undo: (\S{1,120})")
_LEGACY_SAVE_ID = re.compile(r"([0-9a-z]{8,40})(-undo)?-\d+")

_cells_of = attrgetter(*COLUMNS)


# -- writing ----------------------------------------------------------------------------------------------------


def append_correction(path: Path, correction: Correction) -> None:
    """Add a record to a log and return when it is on the disk. Any number of processes may write to one log.

    Raises CorrectionError for a record that `problem_of` rejects, or if the file is not a correction log.
    """
    append_corrections(path, [correction])


def append_corrections(path: Path, corrections: Sequence[Correction]) -> None:
    """Add records to a log in one write, all or, if one is rejected, none; see `append_correction`."""
    lines = b"".join(_line_of(correction) for correction in corrections)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        header = _first_line(path)
        if _columns_of(header) == FIRST_COLUMNS:
            _add_columns(path)
        elif header and _columns_of(header) != COLUMNS:
            raise CorrectionError(f"{path} is not a correction log in this toolkit's order of columns; use a new file.")
        with path.open("a+b") as file:
            if not header:
                lines = to_line(COLUMNS).encode() + lines
            elif not _ends_with_newline(file):  # the last record is incomplete: it keeps its line
                lines = b"\n" + lines
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())


def _first_line(path: Path) -> bytes:
    if not path.exists():
        return b""
    with path.open("rb") as file:
        return file.readline()


def _columns_of(header: bytes) -> tuple[str, ...]:
    return tuple(header.decode("utf-8-sig", "replace").rstrip("\r\n").split(","))


def _add_columns(path: Path) -> None:
    """Replace a log of version 0.1 by a copy with the added columns. The caller holds the lock of the file.

    A broken line gets the cells too, so it has the wrong number of cells before and after.
    """
    path = path.resolve()  # a link stays a link
    header, *lines = path.read_bytes().split(b"\n")
    lines = [_with_cells(header, f",{','.join(ADDED_COLUMNS)}"), *(_with_cells(line, ",,") for line in lines)]
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(b"\n".join(lines))
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(path.stat().st_mode)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _with_cells(line: bytes, cells: str) -> bytes:
    text = line.removesuffix(b"\r")
    return text + cells.encode() + line[len(text) :] if text.strip() else line


def _line_of(correction: Correction) -> bytes:
    if problem := problem_of(correction):
        raise CorrectionError(problem)
    values = _cells_of(correction)
    try:
        return to_line(values).encode()
    except UnicodeEncodeError:
        raise CorrectionError(f"a correction must be text that UTF-8 can hold. Got {values!r} instead.") from None


def _ends_with_newline(file: io.BufferedRandom) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def to_line(cells: Iterable[str]) -> str:
    """Return cells as one line of CSV, newline included, that no spreadsheet takes for formulas."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([_to_cell(cell) for cell in cells])
    return text.getvalue()


def _to_cell(text: str) -> str:
    text = re.sub(r"[\\\n\r]", lambda found: _ESCAPE[found[0]], text)
    return f"'{text}" if _FORMULA.match(text) else text


# -- reading ----------------------------------------------------------------------------------------------------


def read_corrections(paths: Sequence[Path]) -> pa.Table:
    """Read logs into one table: the columns of the CSV (text), `file`, `line` (from 1) and `problem` (empty if none).

    A broken line keeps its place with its problem, and reading goes on. A record that stands in several files counts
    once. Raises CorrectionError for a file that is not a correction log.
    """
    rows = _without_repeats([row for path in paths for row in _read_log(Path(path))])
    columns = list(zip(*rows, strict=True)) or [()] * (len(COLUMNS) + 3)
    types = [pa.string()] * (len(COLUMNS) + 1) + [pa.int64(), pa.string()]
    arrays = [pa.array(values, type_) for values, type_ in zip(columns, types, strict=True)]
    return pa.table(arrays, [*COLUMNS, "file", "line", "problem"])


_Row = tuple[object, ...]  # the columns of the CSV, file, line, problem
_BROKEN = ("",) * len(COLUMNS)


def _read_log(path: Path) -> list[_Row]:
    try:
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except OSError as error:
        raise CorrectionError(f"correction log {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise CorrectionError(f"correction log {path} must be UTF-8; byte {error.start} is not.") from None
    header = read_header(lines[0].rstrip("\r"), path)
    rows: list[_Row] = []
    for number, line in enumerate(lines[1:], 2):
        if line.strip():
            record, problem = _parse(line.removesuffix("\r"), header)
            rows.append((*(_cells_of(record) if record else _BROKEN), path.name, number, problem))
    return rows


def read_header(line: str, path: Path) -> tuple[str, ...]:
    """Return the columns that the first line of a log names. Raises CorrectionError if it is not a correction log."""
    header = tuple(next(csv.reader([line]), []))
    if missing := [name for name in FIRST_COLUMNS if name not in header]:
        raise CorrectionError(
            f"{path} is not a correction log: it has no column {missing[0]!r}. Columns: {', '.join(COLUMNS)}."
        )
    return header


def read_record(line: str, header: tuple[str, ...]) -> tuple[Correction | None, str]:
    """Return the record that a line of a log with those columns holds, or None and what is wrong with the line."""
    record, problem = _parse(line, header)
    return (None, problem) if problem else (record, "")


def _parse(line: str, header: tuple[str, ...]) -> tuple[Correction | None, str]:
    try:
        cells = next(csv.reader([line], strict=True))
    except csv.Error as error:
        return None, f"is not a line of CSV: {error}."
    if len(cells) != len(header):
        return None, f"must have {len(header)} cells, as the first line has. Got {len(cells)} instead."
    if "\\" in line or "'" in line:  # most lines need no unescaping
        cells = [_from_cell(cell) for cell in cells]
    record = from_legacy(Correction(**{name: cells[at] for name, at in _positions(header)}))
    return record, problem_of(record)


@lru_cache
def _positions(header: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    return tuple((name, header.index(name)) for name in COLUMNS if name in header)


def from_legacy(record: Correction) -> Correction:
    """Return a record with `save_id` and `undoes` filled in from the text conventions of version 0.1.

    The grid named the records of a save `SAVE-0`, `SAVE-1`, … and those that took it back `SAVE-undo-0`, …; the review
    page began the note of a record that took back a save with `undo: ` and the id of the save's last record. No other
    place interprets these texts, and nothing writes them any more.
    """
    if record.save_id or record.undoes:
        return record
    if part := _LEGACY_SAVE_ID.fullmatch(record.correction_id):
        return replace(record, save_id=f"{part[1]}{part[2] or ''}", undoes=part[1] if part[2] else "")
    if record.note.startswith("undo: ") and (note := _LEGACY_UNDO_NOTE.fullmatch(record.note)):
        return replace(record, undoes=note[1])
    return record


def _without_repeats(rows: list[_Row]) -> list[_Row]:
    """Keep the first of equal records; mark all records that differ under one id, as none can be trusted."""
    first: dict[object, _Row] = {}
    clashing = set()
    for row in rows:
        name, values = row[0], row[: len(COLUMNS)]
        if first.setdefault(name, row)[: len(COLUMNS)] != values:
            clashing.add(name)
    clash = "correction_id stands in records that differ."
    kept = [row for row in rows if row[-1] or row is first[row[0]] or row[0] in clashing]
    return [(*row[:-1], clash) if row[0] in clashing and not row[-1] else row for row in kept]


def _from_cell(cell: str) -> str:
    text = cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
    if "\\" not in text:
        return text
    return re.sub(r"\\[\\nr]", lambda found: _UNESCAPE[found[0]], text)


class LogReader:
    """A log that is read as it grows, up to the end of its last whole line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._line = 0
        self._first_line = b""
        self._header: tuple[str, ...] = ()

    def has_restarted(self) -> bool:
        """Return whether the file is another one than the one read so far: shorter, or with another first line."""
        if not self._offset:
            return False
        if not self.path.exists() or self.path.stat().st_size < self._offset:
            return True
        return _first_line(self.path) != self._first_line

    def read_new(self, problems: list[str]) -> list[tuple[int, Correction]]:
        """Return the records that were added since, with their line numbers; broken lines go into `problems`.

        Raises CorrectionError if the file is not a correction log, and OSError if it cannot be read.
        """
        with self.path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        data = data[: data.rfind(b"\n") + 1]  # a line that is being written is read when it is whole
        self._offset += len(data)
        records = []
        for line in data.split(b"\n")[:-1]:
            self._line += 1
            text = line.decode("utf-8-sig" if self._line == 1 else "utf8", "replace").removesuffix("\r")
            if self._line == 1:
                self._first_line = line + b"\n"
                self._header = read_header(text, self.path)
            elif text.strip() and self._header:
                record, problem = read_record(text, self._header)
                if record:
                    records.append((self._line, record))
                else:
                    problems.append(f"{self.path.name}, line {self._line}, {problem}")
        return records
