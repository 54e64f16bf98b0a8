"""Reading picture files once: hash, size as shown, and whether every pixel can be decoded."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from tqdm import tqdm

from data_manifests.versions import write_atomic

MAX_PIXELS = 64_000_000  # 8000 × 8000; a few kilobytes can unpack to gigabytes
MAX_BYTES = 256 * 2**20
# PIL's other readers (EPS, PDF, …) are no photo formats, and some start other programs.
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
class Probe:
    """What a file turned out to be. `problem` is None for a picture that decodes to its last pixel."""

    sha256: str | None = None
    width_px: int | None = None
    height_px: int | None = None
    problem: str | None = None


def is_image_name(name: str) -> bool:
    """Whether a file of this name is meant to be a picture (macOS `._x.jpg` companions and other dot files are not)."""
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def probe_file(path: Path) -> Probe:
    """Hash a file and decode it whole. Whatever is wrong with it is the answer's `problem`; nothing is raised."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            return Probe(problem="is not a file")
        if about.st_size == 0:
            return Probe(problem="file is empty (0 bytes)")
        if about.st_size > MAX_BYTES:
            return Probe(problem=f"file has {about.st_size / 2**20:.0f} MiB, the limit is {MAX_BYTES // 2**20}")
        data = path.read_bytes()
    except FileNotFoundError:
        return Probe(problem="file does not exist")
    except OSError as error:
        return Probe(problem=f"file cannot be read: {error.strerror}")
    width, height, problem = _decode(data)
    return Probe(hashlib.sha256(data).hexdigest(), width, height, problem)


def _decode(data: bytes) -> tuple[int | None, int | None, str | None]:
    """Width and height as shown (px), or the problem."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                return None, None, _too_large(f"{width}×{height} px")
            if image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8):
                width, height = height, width
            # An eighth of the size is several times faster to decode and still reads every byte of a JPEG.
            image.draft("L", (image.width // 8, image.height // 8))
            image.load()
    except Image.UnidentifiedImageError:
        return None, None, f"is not a picture in a known format ({', '.join(FORMATS)})"
    except Image.DecompressionBombError:
        return None, None, _too_large("the picture")
    except Exception as error:  # decoders of damaged files raise nearly anything
        return None, None, f"cannot be decoded: {' '.join(str(error).split()) or type(error).__name__}"
    return width, height, None


def _too_large(what: str) -> str:
    return f"{what} is over the limit of {MAX_PIXELS // 10**6} million pixels"


def probe_files(files: Sequence[Path], cache: Path | None = None) -> list[Probe]:
    """Probe files in a thread pool, with a progress bar; answers are in the order of `files`.

    `cache` names a Parquet file that remembers the good ones. A file whose size and times of change are as before is
    not read again (`verify` does re-read).
    """
    known = _read_cache(cache)
    # Stamps come first: a file that changes while it is read is then read again the next time.
    stamps = [_stamp(file) for file in files] if cache is not None else [None] * len(files)
    keys = [(str(file), *stamp) if stamp else None for file, stamp in zip(files, stamps, strict=True)]
    with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        warnings.simplefilter("ignore")  # PIL warns of large and odd files; ours to judge
        found = pool.map(lambda file, key: known.get(key) or probe_file(file), files, keys)
        answers = list(tqdm(found, total=len(files), desc="read photos", unit="img"))
    if cache is not None:
        _write_cache(cache, keys, answers)
    return answers


def _stamp(file: Path) -> tuple[int, int] | None:
    """Bytes, and the later of the two times of change (ns): writing to a file moves one, replacing it the other."""
    try:
        about = file.stat()
    except OSError:
        return None
    return about.st_size, max(about.st_mtime_ns, about.st_ctime_ns)


def _read_cache(cache: Path | None) -> dict[_Key | None, Probe]:
    if cache is None or not cache.exists():
        return {}
    columns = [column.to_pylist() for column in pq.read_table(cache, columns=list(_CACHE_COLUMNS)).columns]
    return {(file, size, changed): Probe(*rest) for file, size, changed, *rest in zip(*columns, strict=True)}


def _write_cache(cache: Path, keys: Sequence[_Key | None], answers: Sequence[Probe]) -> None:
    rows = [
        (*key, answer.sha256, answer.width_px, answer.height_px)
        for key, answer in zip(keys, answers, strict=True)
        if key and answer.problem is None
    ]
    columns = map(list, zip(*rows, strict=True)) if rows else [[]] * len(_CACHE_COLUMNS)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(dict(zip(_CACHE_COLUMNS, columns, strict=True))), sink)
    write_atomic(cache, sink.getvalue().to_pybytes())
