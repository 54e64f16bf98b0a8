"""Reading and writing of CSV as people and spreadsheets make and open it.

Read: comma, semicolon or tab; UTF-8 with or without a byte-order mark, and UTF-16 with one; columns without a name and
without values; a bad quote costs one row. Written: no text cell that a spreadsheet would run as a formula; it gets an
apostrophe in front, which reading removes.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_manifests.errors import ManifestError, ToolkitError
from data_manifests.files.regular_file import in_one_line, read_regular_file, with_remedy

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = re.compile(r"'*(?:[=+@\t\r]|-(?![\d.]))")  # what spreadsheets run, with the apostrophes that quote it
_SEPARATOR_LINE = re.compile(r"sep=([,;\t])\r?\n?", re.IGNORECASE)  # Excel's
_MOST_LINES = 200  # of one row: a quote that is not closed within as many is an error


@dataclass(frozen=True)
class CsvLine:
    """The cells of one row. `number` counts rows as spreadsheets do, `problem` states a bad quote with its line."""

    number: int
    cells: list[str]
    problem: str | None = None


# -- reading ----------------------------------------------------------------------------------------------------


def read_csv_text(path: Path, remedy: str = "", *, error: type[ToolkitError] = ManifestError) -> tuple[str, str]:
    """Return the text of a CSV file and its separator. Raises `error` if it is no text in UTF-8."""
    data = read_regular_file(path, remedy, error=error)
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as cause:
        line = data.count(b"\n", 0, cause.start) + 1
        message = f"CSV {path.name!r} must be UTF-8 text. Byte {cause.start}, in line {line}, is not."
        raise error(with_remedy(message, remedy)) from None
    if found := _SEPARATOR_LINE.match(text):
        return text[found.end() :], found[1]
    return text, separator_of(text.partition("\n")[0])


def separator_of(header: str) -> str:
    """Return the most frequent separator of a header; spreadsheets write `;` in many locales."""
    bare = re.sub(r'"[^"]*"', "", header)
    return max(",;\t", key=bare.count)


def csv_lines(text: str, separator: str) -> Iterator[CsvLine]:
    """Yield the rows of a CSV text, blank ones included. A row with a bad quote ends with its line."""
    lines = list(io.StringIO(text, newline=""))
    begun = [0]  # the line at which the current row begins
    number = 0
    while begun[0] < len(lines):
        start = begun[0]
        reader = csv.reader(_feed(lines, start, begun), delimiter=separator, strict=True)
        try:
            for cells in reader:
                number += 1
                yield CsvLine(number, cells)
                begun[0] = start + reader.line_num
        except csv.Error as cause:
            number += 1
            problem = f"row {number}, line {begun[0] + 1}: {in_one_line(cause)}"
            yield CsvLine(number, _loose_cells(lines[begun[0]], separator), problem)
            begun[0] += 1


def _feed(lines: Sequence[str], start: int, begun: Sequence[int]) -> Iterator[str]:
    """Yield lines. Raises csv.Error in a row of too many: its quote would swallow the rest of the file."""
    for position in range(start, len(lines)):
        if position - begun[0] > _MOST_LINES:
            raise csv.Error(f"a quote is not closed within {_MOST_LINES} lines")
        yield lines[position]


def _loose_cells(line: str, separator: str) -> list[str]:
    """Return the cells of a line with a bad quote, as far as they can be read."""
    try:
        return next(csv.reader([line], delimiter=separator))
    except (csv.Error, StopIteration):
        return []


def read_csv_frame(
    path: Path,
    texts: Iterable[str] = (),
    remedy: str = "",
    *,
    error: type[ToolkitError] = ManifestError,
    **options: Any,
) -> pd.DataFrame:
    """Read a CSV into a data frame; the columns `texts` stay text. `options` are those of `pandas.read_csv`.

    Raises `error` with the file and, where pandas states it, the line.
    """
    import pandas as pd

    text, separator = read_csv_text(path, remedy, error=error)
    kinds = dict.fromkeys(texts, str) | dict(options.pop("dtype", {}))
    try:
        table = pd.read_csv(io.StringIO(text), sep=separator, dtype=kinds, skipinitialspace=True, **options)
    except (ValueError, csv.Error, OverflowError) as cause:
        raise error(with_remedy(f"{path} cannot be read: {in_one_line(cause)}.", remedy)) from None
    table.columns = [str(name).strip() for name in table.columns]
    empty = [name for name in table.columns if name.startswith("Unnamed: ") and table[name].isna().all()]
    table = table.drop(columns=empty)
    for name in table.columns:
        if pd.api.types.is_string_dtype(table[name].dtype):
            table[name] = table[name].map(plain_text, na_action="ignore")
    return table


# -- cells that no spreadsheet runs -----------------------------------------------------------------------------


def harmless(cell: Any) -> Any:
    """Return a cell that no spreadsheet runs as a formula: a text that begins like one gets an apostrophe in front."""
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def plain_text(cell: str) -> str:
    """Return the text of a cell without blanks around it and without the apostrophe of `harmless`."""
    cell = cell.strip()
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def csv_bytes(table: pd.DataFrame, **options: Any) -> bytes:
    """Return a data frame as CSV without its index; `options` are those of `DataFrame.to_csv`."""
    import pandas as pd

    table = table.copy(deep=False)
    for position, kind in enumerate(table.dtypes):
        if pd.api.types.is_string_dtype(kind) or pd.api.types.is_object_dtype(kind):
            table.isetitem(position, table.iloc[:, position].map(harmless, na_action="ignore").array)
    return table.to_csv(index=False, **options).encode("utf8", "backslashreplace")


def write_csv_rows(file: io.TextIOBase | Any, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a header and rows to an open text file."""
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: harmless(value) for name, value in row.items()} for row in rows)
