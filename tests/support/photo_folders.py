"""Small photos on disk, and the rows that could not be read: shared by tests of ingesting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image


def draw(path: Path, seed: int = 0, size: tuple[int, int] = (24, 32)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def failed(table: pa.Table) -> list[dict]:
    return table.filter(pc.equal(table["status"], "failed")).to_pylist()
