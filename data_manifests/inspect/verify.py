"""Verification that the files of a version are present and unchanged."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from data_manifests.errors import PhotoError
from data_manifests.photo_files import PhotoFile, photo_sha256
from data_manifests.versions import Store

PROBLEMS = ("missing", "changed", "outside", "unreadable")


@dataclass(frozen=True)
class FileCheck:
    """The result of verifying files. `problems` has one row per bad file: sample_id, root, path, problem."""

    checked: int
    without_hash: int  # rows whose file could not be read at ingest
    problems: pa.Table

    def lines(self, most: int = 20) -> list[str]:
        """Return the result as text lines."""
        rows = self.problems.slice(0, most).to_pylist()
        lines = [f"{row['problem']:10} {row['root']}/{row['path']} ({row['sample_id']})" for row in rows]
        if self.problems.num_rows > most:
            lines.append(f"… and {self.problems.num_rows - most} more")
        counts = {name: pc.sum(pc.equal(self.problems.column("problem"), name)).as_py() or 0 for name in PROBLEMS}
        summary = ", ".join(f"{name} {count}" for name, count in counts.items())
        return [*lines, f"{self.checked} files checked: {summary}; {self.without_hash} rows have no file"]


def verify(store: Store, ref: str) -> FileCheck:
    """Hash every file of a version again and compare it with the recorded hash.

    A file is missing, changed, unreadable, or outside its root after links are resolved (see PROBLEMS). Raises
    ManifestError for an unknown root.
    """
    table = store.read(ref, ["sample_id", "root", "path", "sha256"]).table
    rows = table.filter(pc.is_valid(table.column("sha256")))
    folders = {name: store.file_of(name, "") for name in rows.column("root").unique().to_pylist()}
    listed = list(zip(*(rows.column(name).to_pylist() for name in ("root", "path", "sha256")), strict=True))
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = pool.map(lambda row: _problem(PhotoFile(folders[row[0]], row[1]), row[2]), listed)
        answers = list(tqdm(found, total=len(listed), desc="verify", unit="img"))
    problems = rows.drop_columns("sha256").append_column("problem", pa.array(answers, pa.string()))
    return FileCheck(
        len(listed), table.num_rows - len(listed), problems.filter(pc.is_valid(problems.column("problem")))
    )


def _problem(photo: PhotoFile, sha256: str) -> str | None:
    try:
        return None if photo_sha256(photo) == sha256 else "changed"
    except PhotoError as error:
        return error.kind
