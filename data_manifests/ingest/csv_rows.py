"""Reading of hand-made CSV files: any separator, a BOM, blank lines, rows of the wrong length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from data_manifests.errors import ManifestError
from data_manifests.files import csv_lines, plain_text, read_csv_text

_MOST_SHOWN = 20  # columns in a message


@dataclass(frozen=True)
class CsvRow:
    """One row. `number` counts as spreadsheets do (the header is row 1); `problem` is a wrong length or a bad quote."""

    number: int
    values: dict[str, str]
    problem: str | None = None


def read_csv(path: Path) -> tuple[list[str], list[CsvRow]]:
    """Return header and rows, every value as stripped text. Raises ManifestError if the file holds no table.

    Columns with neither name nor values, as spreadsheets add them, are left out. A row with a bad quote has a problem.
    """
    lines = [
        (line.number, [plain_text(cell) for cell in line.cells], line.problem)
        for line in csv_lines(*read_csv_text(path))
    ]
    lines = [line for line in lines if any(line[1]) or line[2]]
    if len(lines) < 2:
        raise ManifestError(
            f"CSV {path.name!r} must have a header and at least one row. Got {len(lines)} rows instead."
        )
    _, header, problem = lines[0]
    if problem:
        raise ManifestError(f"CSV {path.name!r} has no readable header: {problem}.")
    if not header[-1]:
        header = header[: max(_filled(cells) for _, cells, _ in lines)]
    if header.count("") > 1:
        header = header[: _filled(header)]
    repeated = sorted(name for name, count in Counter(header).items() if count > 1)
    if repeated:
        raise ManifestError(f"CSV {path.name!r} row 1: column names must be unique. {repeated[0]!r} repeats.")
    return header, [_row(number, header, cells, problem) for number, cells, problem in lines[1:]]


def require_columns(path: Path, header: list[str], needed: Iterable[str], hint: str = "") -> None:
    """Raise ManifestError with the first missing column and the columns present; `hint` follows the message."""
    for name in needed:
        if name not in header:
            shown = ", ".join(header[:_MOST_SHOWN]) + (", …" if len(header) > _MOST_SHOWN else "")
            raise ManifestError(f"CSV {path.name!r} row 1: no column {name!r} among {{{shown}}}.{hint}")


def _filled(cells: list[str]) -> int:
    """Return the number of cells up to the last one that is not empty."""
    return next((number for number in range(len(cells), 0, -1) if cells[number - 1]), 0)


def _row(number: int, header: list[str], cells: list[str], problem: str | None) -> CsvRow:
    cells = cells[: max(len(header), _filled(cells))]
    if problem is None and len(cells) != len(header):
        problem = f"row {number} has {len(cells)} values, the header has {len(header)}"
    return CsvRow(number, dict(zip(header, cells + [""] * len(header), strict=False)), problem)
