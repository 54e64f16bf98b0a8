"""Reading of hand-made CSV files: any separator, a BOM, blank lines, rows of the wrong length."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from data_manifests.errors import ManifestError


@dataclass(frozen=True)
class CsvRow:
    """One row. `number` counts as spreadsheets do (the header is row 1); `problem` reports a wrong length."""

    number: int
    values: dict[str, str]
    problem: str | None = None


def read_csv(path: Path) -> tuple[list[str], list[CsvRow]]:
    """Return header and rows, every value as stripped text. Raises ManifestError if the file holds no table."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            separator = _separator(file.readline())
            file.seek(0)
            lines = list(enumerate(csv.reader(file, delimiter=separator, strict=True), 1))
    except FileNotFoundError:
        raise ManifestError(f"CSV {str(path)!r} does not exist.") from None
    except UnicodeDecodeError as error:
        raise ManifestError(f"CSV {path.name!r} must be UTF-8 text. Byte {error.start} is not.") from None
    except (csv.Error, OSError) as error:
        raise ManifestError(f"CSV {path.name!r} cannot be read: {error}.") from None
    lines = [(number, [cell.strip() for cell in cells]) for number, cells in lines if any(map(str.strip, cells))]
    if len(lines) < 2:
        raise ManifestError(
            f"CSV {path.name!r} must have a header and at least one row. Got {len(lines)} rows instead."
        )
    header = lines[0][1]
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise ManifestError(f"CSV {path.name!r} row 1: column names must be unique. {repeated[0]!r} repeats.")
    return header, [_row(number, header, cells) for number, cells in lines[1:]]


def require_columns(path: Path, header: list[str], needed: Iterable[str], hint: str = "") -> None:
    """Raise ManifestError with the first missing column and the columns present; `hint` follows the message."""
    for name in needed:
        if name not in header:
            raise ManifestError(f"CSV {path.name!r} row 1: no column {name!r} among {{{', '.join(header)}}}.{hint}")


def _row(number: int, header: list[str], cells: list[str]) -> CsvRow:
    problem = None
    if len(cells) != len(header):
        problem = f"row {number} has {len(cells)} values, the header has {len(header)}"
    return CsvRow(number, dict(zip(header, cells + [""] * len(header), strict=False)), problem)


def _separator(header: str) -> str:
    """Return the most frequent separator of the header; spreadsheets write `;` in many locales."""
    return max(",;\t", key=header.count)
