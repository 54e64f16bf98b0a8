"""Lines of a correction log: cells that no spreadsheet runs as formulas, and records.

Line breaks and backslashes are written as `\\n`, `\\r` and `\\\\`, so that a record that a power cut left incomplete
cannot run into the next one; a text that a spreadsheet would run as a formula gets a leading apostrophe.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from data_manifests.corrections.record import COLUMNS, FIRST_COLUMNS, UNSURE, Correction, problem_of
from data_manifests.errors import CorrectionError
from data_manifests.files import separator_of

_FORMULA = re.compile(r"'*[=+\-@\t]")  # what spreadsheets run, with the apostrophes that quote it
_ESCAPE = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_UNESCAPE = {escaped: plain for plain, escaped in _ESCAPE.items()}
_LEGACY_UNDO_NOTE = re.compile(r"undo: (\S{1,120})")
_LEGACY_SAVE_ID = re.compile(r"([0-9a-z]{8,40})(-undo)?-\d+")


def to_line(cells: Iterable[str]) -> str:
    """Return cells as one line of CSV, newline included, that no spreadsheet takes for formulas."""
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


class LogHeader(NamedTuple):
    """The columns of a log in their order, and what separates them: a spreadsheet may have saved the file."""

    columns: tuple[str, ...]
    separator: str = ","


def read_header(line: str, path: Path) -> LogHeader:
    """Return the columns that the first line of a log names. Raises CorrectionError if it is not a correction log."""
    separator = separator_of(line)
    try:
        header = tuple(name.strip() for name in next(csv.reader([line], delimiter=separator), []))
    except csv.Error as error:
        raise CorrectionError(f"{path} is not a correction log: its first line is no line of CSV: {error}.") from None
    while header and not header[-1]:  # empty columns of a spreadsheet
        header = header[:-1]
    if missing := [name for name in FIRST_COLUMNS if name not in header]:
        raise CorrectionError(
            f"{path} is not a correction log: it has no column {missing[0]!r}. Columns: {', '.join(COLUMNS)}."
        )
    return LogHeader(header, separator)


def read_record(line: str, header: LogHeader) -> tuple[Correction | None, str]:
    """Return the record that a line of a log with those columns holds, or None and what is wrong with the line."""
    record, problem = parse_line(line, header)
    return (None, problem) if problem else (record, "")


def parse_line(line: str, header: LogHeader) -> tuple[Correction | None, str]:
    columns, separator = header
    try:
        cells = next(csv.reader([line], strict=True, delimiter=separator))
    except csv.Error as error:
        return None, f"is not a line of CSV: {error}."
    while len(cells) > len(columns) and not cells[-1]:
        cells.pop()
    if len(cells) != len(columns):
        return None, f"must have {len(columns)} cells, as the first line has. Got {len(cells)} instead."
    if "\\" in line or "'" in line:  # most lines need no unescaping
        cells = [_from_cell(cell) for cell in cells]
    record = from_legacy(Correction(**{name: cells[at] for name, at in _positions(columns)}))
    if not (problem := problem_of(record)):
        return record, ""
    tidied = _tidied(record)  # most lines need none
    return (record, problem) if problem_of(tidied) else (tidied, "")


def _tidied(record: Correction) -> Correction:
    """Return a record as it was before a spreadsheet saved it: no blanks around values, `true` instead of `TRUE`."""
    values = {name: value.strip() for name, value in asdict(record).items() if name != "note"}
    if values["field"] in ("exclude", UNSURE):
        values |= {name: values[name].lower() for name in ("old", "new")}
    return replace(record, **values)


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
