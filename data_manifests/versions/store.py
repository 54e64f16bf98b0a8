"""The store of manifest versions on disk: written once, never changed.

    workspace/roots.json                        paths of the photo folders: {"faces": "…"}
    workspace/manifests/faces/v000003.parquet   one version; its history is in the Parquet metadata
    workspace/manifests/faces/tags/curated      number of the version that a tag points to

A reference is `faces` (the newest), `faces@3`, `faces@curated`, `faces@9f86d0` (at least four digits of the content
hash) or the path of a Parquet file.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from filelock import FileLock

from data_manifests.errors import ManifestError
from data_manifests.files import read_json, read_regular_file
from data_manifests.photo_files import PhotoFile
from data_manifests.schema import conform
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions.atomic_io import write_atomic
from data_manifests.versions.content_hash import table_sha256
from data_manifests.versions.metadata import (
    MANIFEST_NAME,
    Manifest,
    Version,
    count_values,
    is_same_version,
    tool_versions,
)
from data_manifests.versions.parquet_file import read_manifest, read_version, write_manifest
from data_manifests.versions.validation import validate

_log = logging.getLogger(__name__)
_TAG = re.compile(r"(?=.*[g-zG-Z_.-])[A-Za-z][A-Za-z0-9._-]*")  # not all hex digits, so never a hash prefix
_FILE = re.compile(r"v([0-9]{6}|[1-9][0-9]{6,17})\.parquet")
_NUMBER = re.compile(r"[0-9]{1,18}")

_TAGGED_BY = {  # the tags that the main line sets, and the command of each
    "preprocessed": "facecurate preprocess run {name}@photos --tag preprocessed",
    "balanced": "facecurate synth run {name}@preprocessed --tag balanced",
}

WORKSPACE_ROOT = "workspace"


class Store:
    """The versions, tags and photo folders of one workspace."""

    def __init__(self, workspace: Path | str) -> None:
        self.workspace = Path(workspace)

    # -- reading ------------------------------------------------------------------------------------------------
    def names(self) -> list[str]:
        """Return the names of manifests that have at least one version, sorted."""
        folders = sorted(path for path in (self.workspace / "manifests").glob("*") if path.is_dir())
        return [path.name for path in folders if self._numbers(path.name)]

    def resolve(self, ref: str) -> Path:
        """Return the Parquet file of a reference. Raises ManifestError that lists the known ones."""
        if ref.endswith(".parquet"):
            if not Path(ref).is_file():
                raise ManifestError(f"manifest file {ref!r} does not exist.")
            return Path(ref)
        name, _, point = ref.partition("@")
        numbers = self._numbers(name)
        if not numbers:
            raise ManifestError(
                f"manifest {name!r} is not in {self.workspace}. Known: {{{', '.join(self.names())}}}. "
                f"Ingest photos: facecurate ingest PHOTOS --name {name or 'NAME'}"
            )
        if not point:
            return self._file(name, numbers[-1])
        if _NUMBER.fullmatch(point) and int(point) in numbers:
            return self._file(name, int(point))
        tags = self.tags(name)
        if point in tags:
            return self._file(name, tags[point])
        if re.fullmatch(r"[0-9a-f]{4,64}", point):
            found = [v.number for v in self.log(name) if v.content_hash.startswith(point)]
            if found:  # versions with equal content share a hash; any of them will do
                return self._file(name, found[-1])
        command = _TAGGED_BY.get(point, "facecurate log {name}").format(name=name)
        raise ManifestError(
            f"{ref!r} is not a version. {name} has versions {numbers[0]} to {numbers[-1]} and "
            f"tags {{{', '.join(tags)}}}. {'Make it' if point in _TAGGED_BY else 'List them'}: {command}"
        )

    def version(self, ref: str) -> Version:
        """Return a version without its rows. Raises ManifestError."""
        return read_version(self.resolve(ref))

    def read(self, ref: str, columns: Sequence[str] | None = None) -> Manifest:
        """Read a version; with `columns`, only those, in that order. Raises ManifestError."""
        return read_manifest(self.resolve(ref), columns)

    def log(self, name: str) -> list[Version]:
        """Return the readable versions of a manifest, oldest first, and warn of others.

        Raises ManifestError if there are versions, but none that can be read.
        """
        versions, problems = self.readable(name)
        if problems and not versions:
            raise ManifestError(problems[-1])
        for problem in problems:
            _log.warning("%s", problem)
        return versions

    def readable(self, name: str) -> tuple[list[Version], list[str]]:
        """Return the readable versions of a manifest, oldest first, and one error message for each other version."""
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

        If a version with the same operation, parameters, parents, seed, cuts and rows exists, that one is returned and
        nothing is written; `is_new` distinguishes the two cases. `cuts` defaults to those of the first parent.
        Raises ManifestError for a name or a table that is not valid.
        """
        if not MANIFEST_NAME.fullmatch(name):
            raise ManifestError(f"a manifest's name must be letters, digits, '.', '_' and '-'. Got {name!r} instead.")
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
                with suppress(ManifestError):  # a version that cannot be read is no reason not to add another
                    if is_same_version(known := self.version(f"{name}@{number}"), draft):
                        return known
            for stale in folder.glob(".v*.parquet.*"):  # left by a killed process; the lock rules out a live writer
                stale.unlink()
            draft = replace(draft, number=numbers[-1] + 1 if numbers else 1)
            write_manifest(self._file(name, draft.number), table, draft)
        return replace(draft, is_new=True)

    def tag(self, ref: str, tag: str) -> Version:
        """Point a tag, new or existing, at a version and return that version. Raises ManifestError."""
        if not _TAG.fullmatch(tag):
            raise ManifestError(
                f"a tag must begin with a letter and not be all hex digits, such as 'curated'. Got {tag!r} instead."
            )
        target = self.version(ref)
        write_atomic(self.workspace / "manifests" / target.name / "tags" / tag, f"{target.number}\n".encode())
        return target

    def tags(self, name: str) -> dict[str, int]:
        """Return the tags of a manifest with the version number of each, and warn of files that hold no number."""
        if not MANIFEST_NAME.fullmatch(name):
            return {}
        tags = {}
        for path in sorted((self.workspace / "manifests" / name / "tags").glob("[A-Za-z]*")):
            with suppress(ManifestError, UnicodeDecodeError):
                text = read_regular_file(path, max_bytes=1000).decode().strip()
                if _NUMBER.fullmatch(text):
                    tags[path.name] = int(text)
                    continue
            _log.warning("%s holds no version number. Set the tag again: facecurate tag %s@N %s", path, name, path.name)
        return tags

    # -- image files --------------------------------------------------------------------------------------------
    def set_root(self, name: str, folder: Path) -> None:
        """Record the path of a photo folder. Call it again after moving the folder; no manifest changes."""
        if name == WORKSPACE_ROOT:
            raise ManifestError(f"the root name {WORKSPACE_ROOT!r} is reserved for the workspace. Choose another.")
        self.workspace.mkdir(parents=True, exist_ok=True)
        with FileLock(self.workspace / ".roots.lock"):
            roots = self._roots_file() | {name: str(folder.resolve())}
            write_atomic(self.workspace / "roots.json", json.dumps(roots, indent=2, ensure_ascii=False).encode())

    def roots(self) -> dict[str, Path]:
        """Return the folder of every root by name, including the workspace itself."""
        return {WORKSPACE_ROOT: self.workspace} | {name: Path(path) for name, path in self._roots_file().items()}

    def file_of(self, root: str, path: str) -> Path:
        """Return the file of a row's `root` and `path`. Raises ManifestError for an unknown root."""
        roots = self.roots()
        if root not in roots:
            raise ManifestError(
                f"root {root!r} is not in {self.workspace / 'roots.json'}. Known: {{{', '.join(roots)}}}. "
                f"Set it with: facecurate root {root} FOLDER"
            )
        return roots[root] / path

    def photo(self, root: str, path: str) -> PhotoFile:
        """Return the photo of a row's `root` and `path`, to be opened. Raises ManifestError for an unknown root."""
        return PhotoFile(self.file_of(root, ""), path)

    def _roots_file(self) -> dict[str, str]:
        path = self.workspace / "roots.json"
        if not path.exists():
            return {}
        remedy = "Restore it, or delete it and name each photo folder again: facecurate root NAME FOLDER"
        roots: dict[str, str] = read_json(path, remedy, kind=dict)
        if bad := [name for name, folder in roots.items() if not isinstance(folder, str)]:
            raise ManifestError(f"{path}: the folder of {bad[0]!r} is no text. {remedy}")
        return roots

    def _numbers(self, name: str) -> list[int]:
        folder = self.workspace / "manifests" / name
        if not MANIFEST_NAME.fullmatch(name) or not folder.is_dir():
            return []
        return sorted(int(match[1]) for entry in os.listdir(folder) if (match := _FILE.fullmatch(entry)))

    def _file(self, name: str, number: int) -> Path:
        return self.workspace / "manifests" / name / f"v{number:06d}.parquet"
