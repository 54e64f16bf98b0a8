"""Reading of Parquet files."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data_manifests.errors import ManifestError, ToolkitError
from data_manifests.files.regular_file import in_one_line, with_remedy


@contextmanager
def open_parquet(
    path: Path, remedy: str = "", *, error: type[ToolkitError] = ManifestError
) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file, memory-mapped, for the body of a `with` statement.

    Raises `error` with the file and `remedy` for a file that does not exist, is a folder or pipe, or is not Parquet,
    and for whatever Arrow finds wrong with the part that the body reads.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise error(with_remedy(f"{path} is not a file.", remedy))
        with pq.ParquetFile(path, memory_map=True) as file:
            yield file
    except FileNotFoundError:
        raise error(with_remedy(f"{path} does not exist.", remedy)) from None
    except (pa.ArrowException, OSError, ValueError, KeyError) as cause:
        raise error(with_remedy(f"{path} cannot be read: {in_one_line(cause)}.", remedy)) from None


def read_parquet(
    path: Path,
    columns: Sequence[str] | None = None,
    filters: Sequence[tuple[str, str, object]] | None = None,
    remedy: str = "",
    *,
    error: type[ToolkitError] = ManifestError,
) -> pa.Table:
    """Return the table of a Parquet file, or these columns and the rows that all filters keep. Raises `error`."""
    with open_parquet(path, remedy, error=error) as file:
        if columns is not None and (missing := [name for name in columns if name not in file.schema_arrow.names]):
            raise error(with_remedy(f"{path} has no column {missing[0]!r}.", remedy))
        chosen = None if columns is None else list(columns)
        table = pq.read_table(path, columns=chosen, filters=list(filters) if filters else None)
        table.validate(full=True)
    return table if chosen is None else table.select(chosen)
