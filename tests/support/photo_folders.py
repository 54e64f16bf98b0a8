"""Small photo files, and the failed rows of a table, for tests of ingest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image


def draw(path: Path, seed: int = 0, size: tuple[int, int] = (24, 32)) -> None:
    """Save an image of random pixels that is unique to the seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def failed(table: pa.Table) -> list[dict]:
    """Return the rows with status failed."""
    return table.filter(pc.equal(table["status"], "failed")).to_pylist()
