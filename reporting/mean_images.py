"""What pictures look like on average: mean image of each class and of all, and how often each colour value occurs.

Measured on a sample: at most so many files of each class, drawn by a seed. For everything together each class counts as
often as it stands in the version. A file that cannot be read is counted and named; the others go on.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image, ImageOps
from tqdm import tqdm

from data_manifests.ingest import FORMATS, MAX_PIXELS
from data_manifests.schema import USABLE
from data_manifests.taxonomy import N_CLASSES
from data_manifests.versions import Store, Version, is_inside, write_atomic

COLUMNS = ("class_id", "split", "status", "root", "path", "width_px", "height_px")
PER_CLASS = 300
WIDTH_PX = 96  # of a mean image
_PIXELS = 128  # values are counted on a grid of at most so many pixels a side


@dataclass(frozen=True)
class Pictures:
    """`means` (18, H, W, 3) uint8, black where `read` (18,) is 0; `overall` (H, W, 3); `histogram` (3, 256) weighted.

    `mean` and `deviation` (3,) of red, green and blue, 0 to 255. `drawn` (18,) files were tried, of `counts` (18,).
    """

    means: np.ndarray
    overall: np.ndarray
    histogram: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    counts: np.ndarray
    drawn: np.ndarray
    read: np.ndarray
    unreadable: tuple[str, ...]  # "path: why"

    def note(self) -> str:
        """How much of the version this speaks about."""
        sample = f"{self.read.sum():,} of {self.counts.sum():,} pictures"
        return f"Measured on {sample}, at most {self.drawn.max():,} of a class."

    def trouble(self) -> str:
        """How many files could not be read, and one of them; empty if all could."""
        if not self.unreadable:
            return ""
        return f"{len(self.unreadable):,} could not be read, such as {self.unreadable[0]}."


def measure(
    store: Store,
    version: Version,
    table: pa.Table,
    split: str = "",
    *,
    per_class: int = PER_CLASS,
    seed: int = 0,
    tick: Callable[[int, int], None] | None = None,
) -> Pictures | None:
    """Measure the usable pictures of a table with `COLUMNS` (of one split, if given); None if there are none.

    The result is kept in the workspace's cache, unless some file could not be read. `tick(done, of)` is called after
    every picture; without it a progress bar is drawn. Raises ManifestError for an unknown root.
    """
    cache = _cache_file(store, version, split, per_class, seed)
    if known := _load(cache):
        return known
    class_id, rows, counts = _draw(table, split, per_class, seed)
    if not len(rows):
        return None
    part = table.select(["root", "path"]).take(rows)
    folders = {name: store.file_of(name, "") for name in part["root"].unique().to_pylist()}
    size = WIDTH_PX, _height(table.select(["width_px", "height_px"]).take(rows))
    files = list(zip(part["root"].to_pylist(), part["path"].to_pylist(), strict=True))
    sums, read = np.zeros((N_CLASSES, size[1], size[0], 3)), np.zeros(N_CLASSES, np.int64)
    histograms = np.zeros((N_CLASSES, 3, 256))
    unreadable = []
    real = {name: os.path.realpath(folder) for name, folder in folders.items()}
    with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        warnings.simplefilter("ignore")  # Pillow's about odd files; what it cannot read is told
        found = pool.map(lambda file: _look(folders[file[0]] / file[1], real[file[0]], size), files)
        bar = tqdm(found, total=len(files), desc="measure pictures", unit="img", disable=tick is not None)
        for done, (k, file, seen) in enumerate(zip(class_id, files, bar, strict=True), 1):
            if isinstance(seen, str):
                unreadable.append(f"{file[1]}: {seen}")
            else:
                sums[k] += seen[0]
                histograms[k] += seen[1]
                read[k] += 1
            if tick:
                tick(done, len(files))
    if not read.sum():
        return _nothing(size, counts, np.bincount(class_id, minlength=N_CLASSES), unreadable)
    result = _together(sums, histograms, counts, np.bincount(class_id, minlength=N_CLASSES), read, unreadable)
    if not unreadable:
        _save(cache, result)
    return result


def is_measured(store: Store, version: Version, split: str = "", *, per_class: int = PER_CLASS, seed: int = 0) -> bool:
    """Whether `measure` has the answer at hand."""
    return _cache_file(store, version, split, per_class, seed).exists()


def _draw(table: pa.Table, split: str, per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Classes (n,) and rows (n,) of the sample, and how many usable rows each class has (18,)."""
    classes = pc.fill_null(table["class_id"].cast(pa.int64()), -1).to_numpy()
    wanted = pc.is_in(table["status"], pa.array(USABLE)).to_numpy()
    if split:
        wanted = wanted & pc.fill_null(pc.equal(table["split"], split), False).to_numpy()
    chosen = []
    for k in range(N_CLASSES):
        rows = np.flatnonzero((classes == k) & wanted)
        rng = np.random.default_rng((seed, k))  # one class's draw does not hang on another's size
        chosen.append(np.sort(rng.choice(rows, per_class, replace=False)) if len(rows) > per_class else rows)
    rows = np.concatenate(chosen)
    return classes[rows], rows, np.bincount(classes[wanted & (classes >= 0)], minlength=N_CLASSES)


def _height(sizes: pa.Table) -> int:
    """Of the mean images: the shape that most pictures have, within reason."""
    ratio = pc.divide(sizes["height_px"].cast(pa.float64()), sizes["width_px"].cast(pa.float64())).drop_null()
    middle = float(np.median(ratio.to_numpy())) if len(ratio) else 1.0
    return round(WIDTH_PX * min(max(middle, 0.5), 2.0))


def _look(path: Path, real_root: str, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray] | str:
    """A picture at one size (H, W, 3) and counts (3, 256) of its values; or what is wrong with it."""
    if not is_inside(real_root, path):
        return "lies outside of its folder"
    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                return f"{image.width}×{image.height} px are over the limit"
            image.draft("RGB", (4 * _PIXELS, 4 * _PIXELS))  # of huge JPEGs only a part is decoded
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except OSError as error:
        return error.strerror or " ".join(str(error).split())
    except Exception as error:  # decoders of damaged files raise nearly anything
        return " ".join(str(error).split()) or type(error).__name__
    step = max(1, -(-max(upright.size) // _PIXELS))
    pixels = np.asarray(upright)[::step, ::step]
    counts = np.stack([np.bincount(pixels[..., c].ravel(), minlength=256) for c in range(3)])
    return np.asarray(ImageOps.fit(upright, size, Image.Resampling.BOX)), counts / counts.sum(1, keepdims=True)


def _together(
    sums: np.ndarray, histograms: np.ndarray, counts: np.ndarray, drawn: np.ndarray, read: np.ndarray, bad: list[str]
) -> Pictures:
    means = sums / np.maximum(read, 1)[:, None, None, None]
    weight = np.where(read > 0, counts, 0) / counts[read > 0].sum()
    histogram = np.tensordot(weight / np.maximum(read, 1), histograms, 1)
    values = np.arange(256)
    mean = histogram @ values
    return Pictures(
        means=np.rint(means).astype(np.uint8),
        overall=np.rint(np.tensordot(weight, means, 1)).astype(np.uint8),
        histogram=histogram,
        mean=mean,
        deviation=np.sqrt(histogram @ values**2 - mean**2),
        counts=counts,
        drawn=drawn,
        read=read,
        unreadable=tuple(bad),
    )


def _nothing(size: tuple[int, int], counts: np.ndarray, drawn: np.ndarray, bad: list[str]) -> Pictures:
    blank = np.zeros((N_CLASSES, size[1], size[0], 3), np.uint8)
    zero = np.zeros(3)
    return Pictures(
        blank,
        blank[0],
        np.full((3, 256), 1 / 256),
        zero,
        zero,
        counts,
        drawn,
        np.zeros(N_CLASSES, np.int64),
        tuple(bad),
    )


# -- kept -------------------------------------------------------------------------------------------------------

_ARRAYS = ("means", "overall", "histogram", "mean", "deviation", "counts", "drawn", "read")


def _cache_file(store: Store, version: Version, split: str, per_class: int, seed: int) -> Path:
    name = f"pictures-{version.content_hash[:16]}-{split or 'all'}-{per_class}-{seed}.npz"
    return store.workspace / "cache" / name


def _save(path: Path, result: Pictures) -> None:
    data = io.BytesIO()
    np.savez_compressed(data, **{name: getattr(result, name) for name in _ARRAYS})
    write_atomic(path, data.getvalue())


def _load(path: Path) -> Pictures | None:
    try:
        with np.load(path) as kept:
            return Pictures(**{name: kept[name] for name in _ARRAYS}, unreadable=())
    except (OSError, ValueError, KeyError):  # not there, or of an older toolkit: measured again
        return None
