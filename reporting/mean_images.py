"""Mean image of each class and of all, and the distribution of colour values, measured on a sample.

A class is a combination of the labels that the version has: one of the 18 if rows have all three, else of fewer tasks.
The images that lack one of these labels form a class of their own. The sample holds at most `PER_CLASS` files of each
class, drawn with a seed. Figures of all classes together weight each class by its number of rows in the version. A file
that cannot be read is counted and reported.
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

from data_manifests.errors import PhotoError
from data_manifests.versions import Store, Version, write_atomic
from pipeline.photos import PhotoFile, load_rgb
from reporting.image_sample import class_tasks, draw_sample

COLUMNS = ("mask", "gender", "age_class", "split", "status", "root", "path", "width_px", "height_px")
PER_CLASS = 300
WIDTH_PX = 96  # of a mean image
_MAX_SIDE_PX = 128  # colour values are counted on a grid of at most this many pixels a side


@dataclass(frozen=True)
class ImageStatistics:
    """Mean images and colour values of a sample.

    `tasks` are those whose labels form the K classes, in the order of TASKS: the last one varies fastest. Arrays have
    one entry more, K + 1, for the images that lack one of the labels. `means` (K + 1, H, W, 3) uint8, black where
    `read` (K + 1,) is 0; `overall` (H, W, 3) uint8; `histogram` (3, 256), weighted, each channel summing to 1. `mean`
    and `deviation` (3,) of red, green and blue, 0 to 255. `counts` (K + 1,) usable rows, `drawn` (K + 1,) files of the
    sample, `read` (K + 1,) files that could be read.
    """

    tasks: tuple[str, ...]

    means: np.ndarray
    overall: np.ndarray
    histogram: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    counts: np.ndarray
    drawn: np.ndarray
    read: np.ndarray
    unreadable: tuple[str, ...]  # "path: reason"

    def note(self) -> str:
        """Return the size of the sample in words."""
        sample = f"{self.read.sum():,} of {self.counts.sum():,} images"
        return (
            f"Measured on {sample}, at most {self.drawn.max():,} of a class."
            if self.tasks
            else f"Measured on {sample}."
        )

    def problem(self) -> str:
        """Return how many files could not be read, with an example; empty if all could."""
        if not self.unreadable:
            return ""
        return f"{len(self.unreadable):,} could not be read, such as {self.unreadable[0]}."


def measure_images(
    store: Store,
    version: Version,
    table: pa.Table,
    split: str = "",
    *,
    per_class: int = PER_CLASS,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> ImageStatistics | None:
    """Measure the usable images of a table with `COLUMNS` (of one split, if given); None if there are none.

    The result is kept in the workspace's cache, unless a file could not be read. `on_progress(done, total)` is called
    after every image; without it a progress bar is drawn. Raises ManifestError for an unknown root.
    """
    cache = _cache_file(store, version, split, per_class, seed)
    if known := _load(cache):
        return known
    tasks = class_tasks(table)
    class_id, rows, counts = draw_sample(table, tasks, split, per_class, seed)
    if not len(rows):
        return None
    classes = len(counts)
    part = table.select(["root", "path"]).take(rows)
    folders = {name: store.file_of(name, "") for name in part["root"].unique().to_pylist()}
    size = WIDTH_PX, _mean_height(table.select(["width_px", "height_px"]).take(rows))
    files = list(zip(part["root"].to_pylist(), part["path"].to_pylist(), strict=True))
    sums, read = np.zeros((classes, size[1], size[0], 3)), np.zeros(classes, np.int64)
    histograms = np.zeros((classes, 3, 256))
    unreadable = []
    with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        warnings.simplefilter("ignore")  # Pillow's, about unusual files; those it cannot read are reported
        results = pool.map(lambda file: _read_image(PhotoFile(folders[file[0]], file[1]), size), files)
        what = f"measure images of {version.ref}" + (f", {split}" if split else "")  # a report measures every split
        bar = tqdm(results, total=len(files), desc=what, unit="img", disable=on_progress is not None)
        for done, (k, file, result) in enumerate(zip(class_id, files, bar, strict=True), 1):
            if isinstance(result, str):
                unreadable.append(f"{file[1]}: {result}")
            else:
                sums[k] += result[0]
                histograms[k] += result[1]
                read[k] += 1
            if on_progress:
                on_progress(done, len(files))
    drawn = np.bincount(class_id, minlength=classes)
    if not read.sum():
        return _nothing_read(tasks, size, counts, drawn, unreadable)
    found = _combine(tasks, sums, histograms, counts, drawn, read, unreadable)
    if not unreadable:
        _save(cache, found)
    return found


def is_measured(store: Store, version: Version, split: str = "", *, per_class: int = PER_CLASS, seed: int = 0) -> bool:
    """Return True if the cache holds the result of `measure_images`."""
    return _cache_file(store, version, split, per_class, seed).exists()


def _mean_height(sizes: pa.Table) -> int:
    """Return the height of a mean image in pixels: the median shape, between 1:2 and 2:1."""
    ratio = pc.divide(sizes["height_px"].cast(pa.float64()), sizes["width_px"].cast(pa.float64())).drop_null()
    median = float(np.median(ratio.to_numpy())) if len(ratio) else 1.0
    return round(WIDTH_PX * min(max(median, 0.5), 2.0))


def _read_image(photo: PhotoFile, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray] | str:
    """Return an image uint8 (H, W, 3) at one size and shares (3, 256) of its colour values; or why it is unreadable."""
    try:
        upright = Image.fromarray(load_rgb(photo, at_least_px=4 * _MAX_SIDE_PX))
    except PhotoError as error:
        return str(error).removeprefix(f"{photo.name}: ")
    step = max(1, -(-max(upright.size) // _MAX_SIDE_PX))
    pixels = np.asarray(upright)[::step, ::step]
    counts = np.stack([np.bincount(pixels[..., c].ravel(), minlength=256) for c in range(3)])
    return np.asarray(ImageOps.fit(upright, size, Image.Resampling.BOX)), counts / counts.sum(1, keepdims=True)


def _combine(
    tasks: tuple[str, ...],
    sums: np.ndarray,
    histograms: np.ndarray,
    counts: np.ndarray,
    drawn: np.ndarray,
    read: np.ndarray,
    unreadable: list[str],
) -> ImageStatistics:
    means = sums / np.maximum(read, 1)[:, None, None, None]
    weight = np.where(read > 0, counts, 0) / counts[read > 0].sum()
    histogram = np.tensordot(weight / np.maximum(read, 1), histograms, 1)
    values = np.arange(256)
    mean = histogram @ values
    return ImageStatistics(
        tasks=tasks,
        means=np.rint(means).astype(np.uint8),
        overall=np.rint(np.tensordot(weight, means, 1)).astype(np.uint8),
        histogram=histogram,
        mean=mean,
        deviation=np.sqrt(histogram @ values**2 - mean**2),
        counts=counts,
        drawn=drawn,
        read=read,
        unreadable=tuple(unreadable),
    )


def _nothing_read(
    tasks: tuple[str, ...], size: tuple[int, int], counts: np.ndarray, drawn: np.ndarray, unreadable: list[str]
) -> ImageStatistics:
    blank = np.zeros((len(counts), size[1], size[0], 3), np.uint8)
    return ImageStatistics(
        tasks=tasks,
        means=blank,
        overall=blank[0],
        histogram=np.full((3, 256), 1 / 256),
        mean=np.zeros(3),
        deviation=np.zeros(3),
        counts=counts,
        drawn=drawn,
        read=np.zeros(len(counts), np.int64),
        unreadable=tuple(unreadable),
    )


# -- cache ------------------------------------------------------------------------------------------------------------
_ARRAYS = ("means", "overall", "histogram", "mean", "deviation", "counts", "drawn", "read")


def _cache_file(store: Store, version: Version, split: str, per_class: int, seed: int) -> Path:
    name = f"mean-images-{version.content_hash[:16]}-{split or 'all'}-{per_class}-{seed}.npz"
    return store.workspace / "cache" / name


def _save(path: Path, found: ImageStatistics) -> None:
    data = io.BytesIO()
    np.savez_compressed(data, tasks=np.array(found.tasks, "U9"), **{name: getattr(found, name) for name in _ARRAYS})
    write_atomic(path, data.getvalue())


def _load(path: Path) -> ImageStatistics | None:
    try:
        with np.load(path) as kept:
            arrays = {name: kept[name] for name in _ARRAYS}
            return ImageStatistics(tasks=tuple(kept["tasks"].tolist()), **arrays, unreadable=())
    except (OSError, ValueError, KeyError):  # missing, or written by an older toolkit: measured again
        return None
