"""What a version knows of itself, kept in the metadata of its Parquet file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import ManifestError
from data_manifests.schema import USABLE
from data_manifests.taxonomy import AgeCuts

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
    """What a version knows of itself."""

    name: str
    number: int
    operation: str
    parents: tuple[str, ...] = ()  # refs with hash, such as "faces@2#9f86d081"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    age_cuts: tuple[int, int] = (30, 60)
    rows: int = 0
    classes: Mapping[str, int] = field(default_factory=dict)  # class_id → rows that can be trained on
    ledger: Mapping[str, int] = field(default_factory=dict)  # ok, fallback, failed, excluded
    content_hash: str = ""
    created: str = ""
    tools: Mapping[str, str] = field(default_factory=dict)
    is_new: bool = field(default=False, compare=False)  # said by Store.write: this call wrote it; never on disk

    @property
    def ref(self) -> str:
        return f"{self.name}@{self.number}"

    @property
    def pinned(self) -> str:
        """The ref with the beginning of the content hash, such as "faces@2#9f86d081": what others note down."""
        return f"{self.ref}#{self.content_hash[:8]}"


@dataclass(frozen=True)
class Manifest:
    """A conformed, validated table with the version that it was read from."""

    table: pa.Table
    version: Version

    @property
    def cuts(self) -> AgeCuts:
        return AgeCuts(*self.version.age_cuts)


def to_metadata(about: Version) -> dict[bytes, str]:
    """Parquet metadata of a version."""
    known = {name: value for name, value in asdict(about).items() if name != "is_new"}
    return {_KEY: json.dumps(known, ensure_ascii=False)}


def from_metadata(metadata: Mapping[bytes, bytes], path: object) -> Version:
    """The version that a file's metadata describe. Raises ManifestError if it is not ours."""
    if _KEY not in metadata:
        raise ManifestError(f"{path} is a Parquet file, but not a manifest of this toolkit.")
    raw = json.loads(metadata[_KEY])
    return Version(**raw | {"parents": tuple(raw["parents"]), "age_cuts": tuple(raw["age_cuts"])})


def same_but_for_time(old: Version, new: Version) -> bool:
    """Equal in everything but number, time and tools."""
    return replace(old, number=0, created="", tools={}) == replace(new, number=0, created="", tools={})


def count_values(table: pa.Table, column: str, usable: bool = False) -> dict[str, int]:
    """How often each value of a column stands; with `usable`, only in rows that have a picture to train on."""
    values = table.column(column)
    if usable:
        values = values.filter(pc.is_in(table.column("status"), pa.array(USABLE)))
    counts = values.drop_null().value_counts()
    pairs = zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True)
    return {str(value): count for value, count in sorted(pairs)}


def tool_versions() -> dict[str, str]:
    """Versions of the packages that can change a result; absent ones are left out."""
    found = {}
    for tool in _TOOLS:
        try:
            found[tool] = version(tool)
        except PackageNotFoundError:
            continue
    return found
