"""Inspection of image files: hash, displayed size, and whether every pixel can be decoded."""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from data_manifests.errors import ManifestError, PhotoError
from data_manifests.files import read_parquet
from data_manifests.photo_files import (
    PhotoFile,
    check_jpeg,
    is_dark,
    is_deep_rgb,
    open_image,
    read_photo,
    value_scale,
)
from data_manifests.versions import write_atomic

_ORIENTATION = 0x0112
_Key = tuple[str, int, int]  # file, bytes, time of change (ns)
_CACHE_COLUMNS = ("file", "bytes", "changed_ns", "sha256", "width_px", "height_px")


@dataclass(frozen=True)
class ImageInfo:
    """Hash and size of one file. `problem` is None for one that decodes completely, `remark` how values are read."""

    sha256: str | None = None
    width_px: int | None = None
    height_px: int | None = None
    problem: str | None = None
    remark: str = ""


def read_image_info(photo: PhotoFile) -> ImageInfo:
    """Hash a file and decode it completely. Any defect is returned as `problem`; nothing is raised."""
    try:
        data = read_photo(photo)
    except PhotoError as error:
        return ImageInfo(problem=str(error))
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        return ImageInfo(sha256, *_decode(data))
    except PhotoError as error:
        return ImageInfo(sha256, problem=str(error))


def _decode(data: bytes) -> tuple[int, int, None, str]:
    """Return displayed width and height (px), no problem, and a remark. Raises PhotoError."""
    remark = ""
    with open_image(data) as image:
        width, height = image.size
        is_deep = is_deep_rgb(image)
        if not check_jpeg(image, data):
            # Decoding a JPEG at an eighth of its size is several times faster and still reads every byte.
            image.draft("L", (max(1, width // 8), max(1, height // 8)))
            image.load()
        # Pillow turns a TIFF while it decodes it, and then forgets the orientation.
        if image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8):
            width, height = height, width
        if is_deep and is_dark(image):
            remark = "16-bit colours that use a few bits only are scaled, judging by their maximum"
        elif image.mode in ("I", "F") or image.mode.startswith("I;16"):
            remark = value_scale(image, np.asarray(image))[1]
    return width, height, None, remark


def read_image_infos(photos: Sequence[PhotoFile], cache: Path | None = None) -> list[ImageInfo]:
    """Inspect files in a thread pool, with a progress bar; results are in the order of `photos`.

    `cache` is a Parquet file that keeps the results of images without problem or remark. A file with unchanged size and
    modification times is not read again (`verify` does read it).
    """
    known = _read_cache(cache)
    # Stamps are taken before reading, so that a file that changes meanwhile is read again next time.
    files = [photo.root / photo.path for photo in photos]
    stamps = [_stamp(file) for file in files] if cache is not None else [None] * len(photos)
    keys = [(str(file), *stamp) if stamp else None for file, stamp in zip(files, stamps, strict=True)]
    with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        warnings.simplefilter("ignore")  # PIL warns of large and unusual files; they are checked here
        found = pool.map(lambda photo, key: known.get(key) or read_image_info(photo), photos, keys)
        # In a log, a line every ten seconds is enough.
        interval = 0.1 if sys.stderr.isatty() else 10
        infos = list(tqdm(found, total=len(photos), desc="read photos", unit="img", mininterval=interval))
    if cache is not None:
        _write_cache(cache, keys, infos)
    return infos


def _stamp(file: Path) -> tuple[int, int] | None:
    """Return size (bytes) and the later of mtime and ctime (ns): copying tools restore mtime, but not ctime."""
    try:
        status = file.stat()
    except (OSError, ValueError):
        return None
    return status.st_size, max(status.st_mtime_ns, status.st_ctime_ns)


_READER = b"2"  # increase it when a file may get another verdict or size


def _read_cache(cache: Path | None) -> dict[_Key | None, ImageInfo]:
    if cache is None or not cache.exists():
        return {}
    try:
        table = read_parquet(cache, _CACHE_COLUMNS)
    except ManifestError:
        return {}  # the photos are read again
    if (table.schema.metadata or {}).get(b"reader") != _READER:
        return {}
    columns = [column.to_pylist() for column in table.columns]
    return {(file, size, changed): ImageInfo(*rest) for file, size, changed, *rest in zip(*columns, strict=True)}


def _write_cache(cache: Path, keys: Sequence[_Key | None], infos: Sequence[ImageInfo]) -> None:
    rows = [
        (*key, info.sha256, info.width_px, info.height_px)
        for key, info in zip(keys, infos, strict=True)
        if key and info.problem is None and not info.remark
    ]
    columns = map(list, zip(*rows, strict=True)) if rows else [[]] * len(_CACHE_COLUMNS)
    sink = pa.BufferOutputStream()
    table = pa.table(dict(zip(_CACHE_COLUMNS, columns, strict=True)))
    pq.write_table(table.replace_schema_metadata({b"reader": _READER}), sink)
    write_atomic(cache, sink.getvalue().to_pybytes())
