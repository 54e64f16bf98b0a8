"""The versions of a manifest on disk: written once, never changed.

    workspace/roots.json                        where the photo folders lie: {"faces": "…"}
    workspace/manifests/faces/v000003.parquet   one version; its history stands in the Parquet metadata
    workspace/manifests/faces/tags/curated      the number that a tag points to

A reference is `faces` (the newest), `faces@3`, `faces@curated`, `faces@9f86d0` (at least four digits of the content
hash) or the path of a Parquet file.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from data_manifests.errors import ManifestError
from data_manifests.schema import BY_NAME, conform, null_column
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions.atomic_io import write_atomic
from data_manifests.versions.content_hash import table_sha256
from data_manifests.versions.metadata import (
    Manifest,
    Version,
    count_values,
    from_metadata,
    same_but_for_time,
    to_metadata,
    tool_versions,
)
from data_manifests.versions.validation import validate

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TAG = re.compile(r"(?=.*[g-zG-Z_.-])[A-Za-z][A-Za-z0-9._-]*")  # not all hex digits, so never a hash prefix
_FILE = re.compile(r"v(\d{6,})\.parquet")
# Nearly every value differs: a dictionary page would only be thrown away again. Lengths apart from letters pack best.
_UNIQUE_TEXTS = ("sample_id", "source_id", "parent_id", "path", "sha256", "recipe")
_UNIQUE_NUMBERS = ("landmarks_xy", "points_xy", "box_xyxy")
_ROW_GROUP = 1 << 17  # rows; small enough that the cores share a read

WORKSPACE_ROOT = "workspace"


class Store:
    """Reads and writes the versions below one workspace folder."""

    def __init__(self, workspace: Path | str) -> None:
        self.workspace = Path(workspace)

    # -- reading ------------------------------------------------------------------------------------------------
    def names(self) -> list[str]:
        """Manifests that have at least one version."""
        folders = sorted(path for path in (self.workspace / "manifests").glob("*") if path.is_dir())
        return [path.name for path in folders if self._numbers(path.name)]

    def resolve(self, ref: str) -> Path:
        """The file that a reference means. Raises ManifestError with the choices."""
        if ref.endswith(".parquet"):
            if not Path(ref).is_file():
                raise ManifestError(f"manifest file {ref!r} does not exist.")
            return Path(ref)
        name, _, point = ref.partition("@")
        numbers = self._numbers(name)
        if not numbers:
            raise ManifestError(
                f"manifest {name!r} is not in {self.workspace}. Known: {{{', '.join(self.names())}}}. "
                "Make it with: python -m data_manifests ingest SRC --layout … --name NAME"
            )
        if not point:
            return self._file(name, numbers[-1])
        if point.isdecimal() and int(point) in numbers:
            return self._file(name, int(point))
        tags = self.tags(name)
        if point in tags:
            return self._file(name, tags[point])
        if re.fullmatch(r"[0-9a-f]{4,64}", point):
            found = [v.number for v in self.log(name) if v.content_hash.startswith(point)]
            if found:  # equal content has one hash: the newest of them is as good as any
                return self._file(name, found[-1])
        raise ManifestError(
            f"{ref!r} is not a version. {name} has versions {numbers[0]} to {numbers[-1]} and "
            f"tags {{{', '.join(tags)}}}; see: python -m data_manifests log {name}"
        )

    def version(self, ref: str) -> Version:
        """What a version knows of itself, without its rows."""
        path = self.resolve(ref)
        try:
            metadata = pq.read_schema(path).metadata or {}
        except (pa.ArrowInvalid, OSError) as error:
            raise ManifestError(f"manifest file {path} cannot be read: {_one_line(error)}") from None
        return from_metadata(metadata, path)

    def read(self, ref: str, columns: Sequence[str] | None = None) -> Manifest:
        """Read a version; with `columns`, only those (in that order)."""
        path = self.resolve(ref)
        try:
            with pq.ParquetFile(path, memory_map=True) as file:
                found = from_metadata(file.schema_arrow.metadata or {}, path)
                stored = file.schema_arrow.names
                table = file.read(None if columns is None else [name for name in columns if name in stored])
        except (pa.ArrowInvalid, OSError) as error:
            raise ManifestError(f"manifest file {path} cannot be read: {_one_line(error)}") from None
        extras = [name for name in stored if name not in BY_NAME]
        arrays = {}
        for name in [*BY_NAME, *extras] if columns is None else columns:
            if name in stored:
                arrays[name] = table.column(name)
            elif name in BY_NAME:  # a column without any value is not stored
                arrays[name] = null_column(file.metadata.num_rows, BY_NAME[name].type)
            else:
                raise ManifestError(f"{found.ref} has no column {name!r}. Its own columns: {{{', '.join(extras)}}}.")
        return Manifest(pa.table(arrays), found)

    def log(self, name: str) -> list[Version]:
        """All versions of a manifest, oldest first."""
        return [self.version(f"{name}@{number}") for number in self._numbers(name)]

    def readable(self, name: str) -> tuple[list[Version], list[str]]:
        """All versions of a manifest that can be read, oldest first, and what is wrong with each of the others."""
        versions, problems = [], []
        for number in self._numbers(name):
            try:
                versions.append(self.version(f"{name}@{number}"))
            except ManifestError as error:
                problems.append(str(error))
        return versions, problems

    # -- writing ------------------------------------------------------------------------------------------------
    def write(
        self,
        name: str,
        table: pa.Table,
        operation: str,
        *,
        parents: Sequence[Version] = (),
        parameters: Mapping[str, Any] | None = None,
        seed: int | None = None,
        cuts: AgeCuts | None = None,
    ) -> Version:
        """Validate a table and add it as the next version.

        The same operation with the same parameters on the same parents giving the same rows is that version again: it
        is returned, not written twice, so a repeated run leaves no trace; `is_new` tells which it was. Cuts come from
        the first parent unless given.
        """
        if not _NAME.fullmatch(name):
            raise ManifestError(f"a manifest's name is letters, digits, '.', '_' and '-'. Got {name!r} instead.")
        table = conform(table)
        validate(table)
        cuts = cuts or AgeCuts(*(parents[0].age_cuts if parents else (30, 60)))
        draft = Version(
            name=name,
            number=0,
            operation=operation,
            parents=tuple(parent.pinned for parent in parents),
            parameters=json.loads(json.dumps(dict(parameters or {}))),
            seed=seed,
            age_cuts=(cuts.middle, cuts.old),
            rows=table.num_rows,
            classes=count_values(table, "class_id", usable=True),
            ledger=count_values(table, "status"),
            content_hash=table_sha256(table),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            tools=tool_versions(),
        )
        folder = self.workspace / "manifests" / name
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            numbers = self._numbers(name)
            for number in reversed(numbers):
                if same_but_for_time(self.version(f"{name}@{number}"), draft):
                    return self.version(f"{name}@{number}")
            for stale in folder.glob(".v*.parquet.*"):  # of a writer that was killed: we hold the lock, nobody writes
                stale.unlink()
            draft = replace(draft, number=numbers[-1] + 1 if numbers else 1)
            _write_parquet(self._file(name, draft.number), table, draft)
        return replace(draft, is_new=True)

    def tag(self, ref: str, tag: str) -> Version:
        """Point a tag at a version; a tag may move, versions do not."""
        if not _TAG.fullmatch(tag):
            raise ManifestError(
                f"a tag begins with a letter and is not all hex digits, such as 'curated'. Got {tag!r} instead."
            )
        target = self.version(ref)
        write_atomic(self.workspace / "manifests" / target.name / "tags" / tag, f"{target.number}\n".encode())
        return target

    def tags(self, name: str) -> dict[str, int]:
        """Tags of a manifest and the numbers that they point to."""
        folder = self.workspace / "manifests" / name / "tags"
        return {path.name: int(path.read_text()) for path in sorted(folder.glob("[A-Za-z]*"))}

    # -- pictures -----------------------------------------------------------------------------------------------
    def set_root(self, name: str, folder: Path) -> None:
        """Record where a photo folder lies. Move the folder and set it again: no manifest changes."""
        if name == WORKSPACE_ROOT:
            raise ManifestError(f"the name {WORKSPACE_ROOT!r} is taken by the workspace itself; choose another.")
        self.workspace.mkdir(parents=True, exist_ok=True)
        with FileLock(self.workspace / ".roots.lock"):
            roots = self._roots_file() | {name: str(folder.resolve())}
            write_atomic(self.workspace / "roots.json", json.dumps(roots, indent=2, ensure_ascii=False).encode())

    def roots(self) -> dict[str, Path]:
        """Every root by name, the workspace among them."""
        return {WORKSPACE_ROOT: self.workspace} | {name: Path(path) for name, path in self._roots_file().items()}

    def file_of(self, root: str, path: str) -> Path:
        """The file that a row's `root` and `path` mean. Raises ManifestError for an unknown root."""
        roots = self.roots()
        if root not in roots:
            raise ManifestError(
                f"root {root!r} is not in {self.workspace / 'roots.json'}. Known: {{{', '.join(roots)}}}. "
                f"Set it with: python -m data_manifests root {root} FOLDER"
            )
        return roots[root] / path

    def _roots_file(self) -> dict[str, str]:
        path = self.workspace / "roots.json"
        return json.loads(path.read_text("utf8")) if path.exists() else {}

    def _numbers(self, name: str) -> list[int]:
        folder = self.workspace / "manifests" / name
        if not name or not folder.is_dir():
            return []
        return sorted(int(match[1]) for entry in os.listdir(folder) if (match := _FILE.fullmatch(entry)))

    def _file(self, name: str, number: int) -> Path:
        return self.workspace / "manifests" / name / f"v{number:06d}.parquet"


def _write_parquet(path: Path, table: pa.Table, about: Version) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    table = table.replace_schema_metadata(to_metadata(about))
    empty = [name for name in table.column_names if name in BY_NAME and table[name].null_count == table.num_rows]
    table = table.drop_columns(empty)
    dictionary = [name for name in table.column_names if name not in _UNIQUE_TEXTS + _UNIQUE_NUMBERS]
    try:
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            compression_level=1,
            use_dictionary=dictionary,
            column_encoding={name: "DELTA_LENGTH_BYTE_ARRAY" for name in _UNIQUE_TEXTS if name in table.column_names},
            row_group_size=_ROW_GROUP,
        )
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o444)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
