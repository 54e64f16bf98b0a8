"""The record of a version, stored in the metadata of its Parquet file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter, ValidationError

from data_manifests.errors import ManifestError
from data_manifests.files import parse_json
from data_manifests.schema import USABLE
from data_manifests.taxonomy import AgeCuts

MANIFEST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_KEY = b"face_curation_toolkit"
_TOOLS = (
    "numpy",
    "pandas",
    "pyarrow",
    "torch",
    "torchvision",
    "torchmetrics",
    "timm",
    "facenet-pytorch",
    "rembg",
    "opencv-python-headless",
    "dlib-bin",
)


@dataclass(frozen=True)
class Version:
    """One version of a manifest: its origin, its counts and its content hash, without its rows."""

    name: str
    number: int
    operation: str
    parents: tuple[str, ...] = ()  # refs with hash, such as "faces@2#9f86d081"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    age_cuts: tuple[int, int] = (30, 60)
    rows: int = 0
    classes: Mapping[str, int] = field(default_factory=dict)  # class_id → usable rows
    ledger: Mapping[str, int] = field(default_factory=dict)  # status → rows
    content_hash: str = ""
    created: str = ""
    tools: Mapping[str, str] = field(default_factory=dict)
    is_new: bool = field(default=False, compare=False)  # set by Store.write if this call wrote it; not stored

    @property
    def ref(self) -> str:
        """The reference by number, such as "faces@2"."""
        return f"{self.name}@{self.number}"

    @property
    def pinned(self) -> str:
        """The reference with the start of the content hash, such as "faces@2#9f86d081", for records elsewhere."""
        return f"{self.ref}#{self.content_hash[:8]}"


@dataclass(frozen=True)
class Manifest:
    """A conformed, validated table and the version it was read from."""

    table: pa.Table
    version: Version

    @property
    def cuts(self) -> AgeCuts:
        """The age cuts of the version."""
        return AgeCuts(*self.version.age_cuts)


_STORED_VERSION = TypeAdapter(Version)


def to_metadata(version: Version) -> dict[bytes, str]:
    """Return the Parquet metadata of a version."""
    stored = {name: value for name, value in asdict(version).items() if name != "is_new"}
    return {_KEY: json.dumps(stored, ensure_ascii=False)}


def from_metadata(metadata: Mapping[bytes, bytes], path: Path) -> Version:
    """Return the version in a file's metadata. Raises ManifestError if the file is not a manifest.

    Entries that a newer release added are ignored.
    """
    if _KEY not in metadata:
        raise ManifestError(f"{path} is a Parquet file, but not a manifest of this toolkit.")
    raw = parse_json(metadata[_KEY], f"the metadata of {path}", kind=dict)
    try:
        version: Version = _STORED_VERSION.validate_python(raw)
        AgeCuts(*version.age_cuts)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ManifestError(f"the metadata of {path} is not valid: {field}: {first['msg']}.") from None
    except ManifestError as error:
        raise ManifestError(f"the metadata of {path} is not valid: {error}") from None
    if not MANIFEST_NAME.fullmatch(version.name) or version.number < 1 or version.rows < 0:
        raise ManifestError(
            f"the metadata of {path} is not valid: {version.name!r} version {version.number} with {version.rows} rows."
        )
    return replace(version, is_new=False)


def is_same_version(old: Version, new: Version) -> bool:
    """Return whether two versions are equal in everything except number, time and tools."""
    return replace(old, number=0, created="", tools={}) == replace(new, number=0, created="", tools={})


def count_values(table: pa.Table, column: str, usable: bool = False) -> dict[str, int]:
    """Return the number of rows of each value of a column; with `usable`, counting usable rows only."""
    values = table.column(column)
    if usable:
        values = values.filter(pc.is_in(table.column("status"), pa.array(USABLE)))
    counts = values.drop_null().value_counts()
    pairs = zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True)
    return {str(value): count for value, count in sorted(pairs)}


def tool_versions() -> dict[str, str]:
    """Return the versions of the installed packages that can change a result."""
    found = {}
    for tool in _TOOLS:
        try:
            found[tool] = package_version(tool)
        except PackageNotFoundError:
            continue
    return found
