"""Export of a version as files for other programs, and the table of formats.

    csv        OUT/labels.csv: every row and column, lists as text, and the name of the class
    profiles   OUT/train.csv, OUT/images/<path>/<shot>.<ext>, and OUT/ledger.csv: what was written or left out, and why

Every format also has OUT/export.json, which identifies the version. OUT appears complete, at the end, or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from data_manifests.errors import ManifestError, must_be_one_of
from data_manifests.export.flat_csv import write_csv
from data_manifests.export.profiles import write_profiles
from data_manifests.versions import Manifest, Store

FORMATS: dict[str, Callable[[Store, Manifest, Path, bool], tuple[dict[str, int], list[str]]]] = {
    "csv": write_csv,
    "profiles": write_profiles,
}
"""The writer of each format: it takes store, manifest, the folder to fill and whether to link photos instead of copying
them, and returns the number of rows left out for each reason, and notes on values that are empty."""


@dataclass(frozen=True)
class ExportResult:
    """The number of rows written, the number of rows left out for each reason, and notes on values that are empty."""

    ref: str
    content_hash: str
    written: int
    left_out: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return the result as text lines."""
        left_out = [f"left out {count}: {reason}" for reason, count in self.left_out.items()]
        return [
            *left_out,
            *self.notes,
            f"{self.ref}: {self.written} rows written, {sum(self.left_out.values())} left out",
        ]


def export(store: Store, ref: str, format_: str, out: Path, *, link: bool = False) -> ExportResult:
    """Write a version to a new or empty folder. `link` makes hard links to the photos instead of copies.

    Raises ManifestError for an unknown format, a folder that is not empty, or links that cannot be made.
    """
    if format_ not in FORMATS:
        raise ManifestError(must_be_one_of("format", FORMATS, format_))
    manifest = store.read(ref)
    with _new_folder(out) as folder:
        left_out, notes = FORMATS[format_](store, manifest, folder, link)
        result = ExportResult(
            manifest.version.ref,
            manifest.version.content_hash,
            manifest.table.num_rows - sum(left_out.values()),
            left_out,
            notes,
        )
        (folder / "export.json").write_text(json.dumps(asdict(result), indent=2) + "\n", "utf8")
    return result


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """Provide a temporary folder that becomes `out` on success and is removed on failure."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ManifestError(f"{str(out)!r} must be a new or empty folder; choose another --out.")
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=out.absolute().parent, prefix=f".{out.name}."))
    try:
        temporary.chmod(0o755)  # mkdtemp restricts the folder to its owner
        yield temporary
        if out.exists():
            out.rmdir()
        os.rename(temporary, out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
