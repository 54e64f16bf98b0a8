"""A version as files that other programs read: one CSV, or the competition's folder layout.

    csv        OUT/labels.csv: every row and column, lists as numbers with spaces between, and the class's name
    profiles   OUT/train.csv, OUT/images/<path>/<shot>.<ext>, and OUT/ledger.csv: what was written or left out, and why

Both write OUT/export.json (which version this is) and put OUT in place whole, at the end.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from data_manifests.errors import ManifestError, must_be_one_of
from data_manifests.export.profiles import write_profiles
from data_manifests.taxonomy import class_names
from data_manifests.versions import Manifest, Store

FORMATS = ("csv", "profiles")


@dataclass(frozen=True)
class Exported:
    """How many rows were written, and how many were left out for which reason."""

    ref: str
    content_hash: str
    written: int
    left_out: dict[str, int] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The report as text."""
        out = [f"left out {count}: {reason}" for reason, count in self.left_out.items()]
        return [*out, f"{self.ref}: {self.written} rows written, {sum(self.left_out.values())} left out"]


def export(store: Store, ref: str, format_: str, out: Path, *, link: bool = False) -> Exported:
    """Write a version to a new folder. `link` makes hard links to the photos instead of copies.

    Raises ManifestError when the folder is not empty, when links cannot be made, or for an unknown format.
    """
    if format_ not in FORMATS:
        raise ManifestError(must_be_one_of("format", FORMATS, format_))
    manifest = store.read(ref)
    with _new_folder(out) as folder:
        if format_ == "csv":
            _write_csv(manifest, folder / "labels.csv")
            left_out: dict[str, int] = {}
        else:
            left_out = write_profiles(store, manifest.table, folder, link)
        done = Exported(
            manifest.version.ref,
            manifest.version.content_hash,
            manifest.table.num_rows - sum(left_out.values()),
            left_out,
        )
        (folder / "export.json").write_text(json.dumps(asdict(done), indent=2) + "\n", "utf8")
    return done


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A temporary folder that becomes `out` when all went well, and goes when not."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ManifestError(f"{str(out)!r} must be a new or empty folder: export never writes over anything.")
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=out.absolute().parent, prefix=f".{out.name}."))
    try:
        temporary.chmod(0o755)  # mkdtemp's folders are for their owner only
        yield temporary
        if out.exists():
            out.rmdir()
        os.rename(temporary, out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _write_csv(manifest: Manifest, path: Path) -> None:
    table = manifest.table
    names = pa.array(class_names(manifest.cuts))
    at = table.column_names.index("class_id") + 1
    table = table.add_column(at, "class_name", names.take(table.column("class_id").combine_chunks()))
    for index, column in enumerate(table.schema):
        if pa.types.is_fixed_size_list(column.type):
            table = table.set_column(index, column.name, _as_text(table.column(index)))
    pa_csv.write_csv(table, path)


def _as_text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Lists of numbers → "1.5 2 3"."""
    return pc.binary_join(values.cast(pa.list_(values.type.value_type)).cast(pa.list_(pa.string())), " ")
