"""Inspection of image files: hash, displayed size, and whether every pixel can be decoded."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from tqdm import tqdm

from data_manifests.errors import ManifestError
from data_manifests.files import read_parquet
from data_manifests.versions import write_atomic

MAX_PIXELS = 64_000_000  # 8000 × 8000; a few kilobytes can decompress to gigabytes
MAX_BYTES = 256 * 2**20
# PIL's other readers (EPS, PDF, …) are not for photo formats, and some start external programs.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".webp",
    ".bmp",
    ".tif",
    ".tiff",
    ".gif",
    ".heic",
    ".heif",
    ".avif",
)

_ORIENTATION = 0x0112
_Key = tuple[str, int, int]  # file, bytes, time of change (ns)
_CACHE_COLUMNS = ("file", "bytes", "changed_ns", "sha256", "width_px", "height_px")


@dataclass(frozen=True)
class ImageInfo:
    """Hash and size of one file. `problem` is None for an image that decodes completely."""

    sha256: str | None = None
    width_px: int | None = None
    height_px: int | None = None
    problem: str | None = None


def is_image_name(name: str) -> bool:
    """Return whether a file name is that of an image (not a macOS `._x.jpg` companion or another dot file)."""
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def read_image_info(path: Path) -> ImageInfo:
    """Hash a file and decode it completely. Any defect is returned as `problem`; nothing is raised."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return ImageInfo(problem="is not a file")
        if status.st_size == 0:
            return ImageInfo(problem="file is empty (0 bytes)")
        if status.st_size > MAX_BYTES:
            return ImageInfo(problem=f"file has {status.st_size / 2**20:.0f} MiB, the limit is {MAX_BYTES // 2**20}")
        data = path.read_bytes()
    except FileNotFoundError:
        return ImageInfo(problem="file does not exist")
    except OSError as error:
        return ImageInfo(problem=f"file cannot be read: {error.strerror}")
    width, height, problem = _decode(data)
    return ImageInfo(hashlib.sha256(data).hexdigest(), width, height, problem)


def _decode(data: bytes) -> tuple[int | None, int | None, str | None]:
    """Return displayed width and height (px), or the problem."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                return None, None, _too_large(f"{width}×{height} px")
            if image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8):
                width, height = height, width
            # Decoding a JPEG at an eighth of its size is several times faster and still reads every byte.
            image.draft("L", (image.width // 8, image.height // 8))
            image.load()
    except Image.UnidentifiedImageError:
        return None, None, f"is not a picture in a known format ({', '.join(FORMATS)})"
    except Image.DecompressionBombError:
        return None, None, _too_large("the picture")
    except Exception as error:  # decoders raise many types for damaged files
        return None, None, f"cannot be decoded: {' '.join(str(error).split()) or type(error).__name__}"
    return width, height, None


def _too_large(what: str) -> str:
    return f"{what} is over the limit of {MAX_PIXELS // 10**6} million pixels"


def read_image_infos(files: Sequence[Path], cache: Path | None = None) -> list[ImageInfo]:
    """Inspect files in a thread pool, with a progress bar; results are in the order of `files`.

    `cache` is a Parquet file that keeps the results of valid images. A file with unchanged size and modification times
    is not read again (`verify` does read it).
    """
    known = _read_cache(cache)
    # Stamps are taken before reading, so that a file that changes meanwhile is read again next time.
    stamps = [_stamp(file) for file in files] if cache is not None else [None] * len(files)
    keys = [(str(file), *stamp) if stamp else None for file, stamp in zip(files, stamps, strict=True)]
    with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        warnings.simplefilter("ignore")  # PIL warns of large and unusual files; they are checked here
        found = pool.map(lambda file, key: known.get(key) or read_image_info(file), files, keys)
        # In a log, a line every ten seconds is enough.
        interval = 0.1 if sys.stderr.isatty() else 10
        infos = list(tqdm(found, total=len(files), desc="read photos", unit="img", mininterval=interval))
    if cache is not None:
        _write_cache(cache, keys, infos)
    return infos


def _stamp(file: Path) -> tuple[int, int] | None:
    """Return size (bytes) and the later of mtime and ctime (ns): copying tools restore mtime, but not ctime."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_size, max(status.st_mtime_ns, status.st_ctime_ns)


def _read_cache(cache: Path | None) -> dict[_Key | None, ImageInfo]:
    if cache is None or not cache.exists():
        return {}
    try:
        columns = [column.to_pylist() for column in read_parquet(cache, _CACHE_COLUMNS).columns]
    except ManifestError:
        return {}  # the photos are read again
    return {(file, size, changed): ImageInfo(*rest) for file, size, changed, *rest in zip(*columns, strict=True)}


def _write_cache(cache: Path, keys: Sequence[_Key | None], infos: Sequence[ImageInfo]) -> None:
    rows = [
        (*key, info.sha256, info.width_px, info.height_px)
        for key, info in zip(keys, infos, strict=True)
        if key and info.problem is None
    ]
    columns = map(list, zip(*rows, strict=True)) if rows else [[]] * len(_CACHE_COLUMNS)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(dict(zip(_CACHE_COLUMNS, columns, strict=True))), sink)
    write_atomic(cache, sink.getvalue().to_pybytes())
