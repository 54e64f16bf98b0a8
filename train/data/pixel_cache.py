"""A cache of decoded, prepared pictures, read by memory map: a picture is decoded once, not once per epoch.

    workspace/cache/pixels/<hash of the preparation>/<part>.npy    uint8 (N, H, W, 3)
                                                    /<part>.txt    sha256 of each picture, one per line

A part is written atomically and its .txt last, so readers see complete parts only; concurrent runs write separate
parts.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data_manifests.errors import StageError
from data_manifests.versions import write_atomic
from pipeline.photos import PhotoFile, load_rgb
from pipeline.progress import show_progress
from train.data.image_preparation import Values, check_prepare, prepare_picture

VERSION = 2  # of image_preparation.py: increase it when the same settings give other pixels
Picture = tuple[PhotoFile, str]  # photo and the sha256 of its bytes


@dataclass
class Pixels:
    """Prepared pictures in the order requested, read from disk on `take`."""

    parts: Sequence[Path]
    location: np.ndarray  # (N, 2): part, row in the part; -1 for a picture that cannot be read
    size: tuple[int, int]
    _maps: list[np.ndarray] = field(default_factory=list, repr=False)

    def __len__(self) -> int:
        return len(self.location)

    def take(self, positions: Sequence[int] | np.ndarray) -> np.ndarray:
        """Read the pictures at `positions` (B,) as uint8 (B, H, W, 3)."""
        if not self._maps:
            self._maps = [np.load(part, mmap_mode="r") for part in self.parts]
        out = np.empty((len(positions), *self.size, 3), np.uint8)
        for row, (part, source) in enumerate(self.location[np.asarray(positions)]):
            out[row] = self._maps[part][source]
        return out

    def __getstate__(self) -> dict[str, object]:
        """Leave the memory maps out: a loader process opens the files itself."""
        return self.__dict__ | {"_maps": []}


def open_pixels(
    pictures: Sequence[Picture],
    workspace: Path,
    *,
    size: tuple[int, int],
    prepare: Values,
    jobs: int | None = None,
) -> tuple[Pixels, dict[int, str]]:
    """Return the prepared pictures, decoding those not cached yet, and the reasons of unreadable ones by position."""
    check_prepare(prepare)
    spec = cache_spec(size, prepare)
    folder = workspace / "cache" / "pixels" / hashlib.sha256(spec.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    parts, known = list_parts(folder)
    missing = sorted({sha: file for file, sha in pictures if sha not in known}.items())
    reasons: dict[str, str] = {}
    if missing:
        reasons = _decode(missing, folder, size, prepare, jobs)
        parts, known = list_parts(folder)
    location = np.array([known.get(sha, (-1, -1)) for _, sha in pictures], np.int64).reshape(-1, 2)
    failed = {index: reasons.get(pictures[index][1], "") for index in np.flatnonzero(location[:, 0] < 0).tolist()}
    return Pixels(parts, location, size), failed


def cache_spec(size: tuple[int, int], prepare: Values) -> str:
    """Return everything that determines the prepared pixels, as text."""
    return json.dumps([VERSION, list(size), [[name, value] for name, value in prepare.items()]])


def list_parts(folder: Path) -> tuple[list[Path], dict[str, tuple[int, int]]]:
    """Return the parts in a folder, and the part and row of each picture by its sha256."""
    parts: list[Path] = []
    known: dict[str, tuple[int, int]] = {}
    for names in sorted(folder.glob("*.txt")):
        for row, sha in enumerate(names.read_text("ascii").split()):
            known[sha] = (len(parts), row)
        parts.append(names.with_suffix(".npy"))
    return parts, known


def _decode(
    missing: Sequence[tuple[str, PhotoFile]], folder: Path, size: tuple[int, int], prepare: Values, jobs: int | None
) -> dict[str, str]:
    """Write one more part; return the reasons of unreadable pictures by sha256. Raises StageError on a full disk."""
    name = uuid.uuid4().hex
    temporary = folder / f".{name}.npy"
    written: list[str] = []
    reasons: dict[str, str] = {}

    # the steps of `prepare` are in pixels of the full picture; without any, a reduced size can be decoded
    min_side_px = None if prepare else max(size)

    def read(item: tuple[str, PhotoFile]) -> np.ndarray | str:
        try:
            return prepare_picture(load_rgb(item[1], item[0], min_side_px), prepare, size)
        except StageError as error:
            return str(error)

    try:
        out = np.lib.format.open_memmap(temporary, "w+", np.uint8, (len(missing), *size, 3))
        # threads: hashing, decoding and resizing release the interpreter lock
        with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
            done = pool.map(read, missing)
            for (sha, _), result in zip(missing, show_progress(done, "decode", len(missing)), strict=True):
                if isinstance(result, str):
                    reasons[sha] = result
                else:
                    out[len(written)] = result
                    written.append(sha)
        out.flush()
        del out
        if written:
            os.replace(temporary, folder / f"{name}.npy")
            write_atomic(folder / f"{name}.txt", "\n".join(written).encode())
    except OSError as error:
        raise StageError(f"decoded pictures do not fit into {folder}: {error.strerror}. Free some space.") from None
    finally:
        temporary.unlink(missing_ok=True)
    return reasons
