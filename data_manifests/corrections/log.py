"""Correction logs: CSV files of corrections that are only ever appended to.

One line is one record, as `lines.py` writes it; text is UTF-8.

A log whose first line lacks the columns `save_id` and `undoes` (written by version 0.1) is read as it is. The first
append to it adds them: the file is replaced in one step by a copy in which each line ends with two empty cells.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path

import pyarrow as pa
from filelock import FileLock

from data_manifests.corrections.lines import LogHeader, parse_line, read_header, read_record, to_line
from data_manifests.corrections.record import ADDED_COLUMNS, COLUMNS, FIRST_COLUMNS, Correction, problem_of
from data_manifests.errors import CorrectionError
from data_manifests.files import read_regular_file

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
        lines = read_regular_file(path, error=CorrectionError).decode("utf-8-sig").split("\n")
    except CorrectionError as error:
        raise CorrectionError(f"correction log {error}") from None
    except UnicodeDecodeError as error:
        raise CorrectionError(f"correction log {path} must be UTF-8; byte {error.start} is not.") from None
    header = read_header(lines[0].rstrip("\r"), path)
    rows: list[_Row] = []
    for number, line in enumerate(lines[1:], 2):
        if line.strip():
            record, problem = parse_line(line.removesuffix("\r"), header)
            rows.append((*(_cells_of(record) if record else _BROKEN), path.name, number, problem))
    return rows


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


class LogReader:
    """A log that is read as it grows, up to the end of its last whole line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._line = 0
        self._first_line = b""
        self._header: LogHeader | None = None

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
                    problems.append(f"{self.path.name} line {self._line}: {problem}")
        return records
