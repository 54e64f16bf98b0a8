"""Lines of a correction log: cells that no spreadsheet runs as formulas, and records.

Line breaks and backslashes are written as `\\n`, `\\r` and `\\\\`, so that a record that a power cut left incomplete
cannot run into the next one; a text that a spreadsheet would run as a formula gets a leading apostrophe.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from data_manifests.corrections.record import COLUMNS, FIRST_COLUMNS, Correction, problem_of
from data_manifests.errors import CorrectionError

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
    record, problem = parse_line(line, header)
    return (None, problem) if problem else (record, "")


def parse_line(line: str, header: tuple[str, ...]) -> tuple[Correction | None, str]:
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
