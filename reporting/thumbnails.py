"""Small copies of photos: as JPEG bytes, inside a page, or kept as files under WORKSPACE/cache/thumbnails/."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data_manifests.errors import ManifestError, PhotoError, ToolkitError
from data_manifests.versions import Store, write_atomic
from pipeline.photos import PhotoFile, file_key, load_rgb, open_photo
from reporting.html import data_url

_QUALITY = 85  # of a JPEG
_DECODED = 2  # a large JPEG is decoded at no less than this many times the size: ten times quicker, and as sharp
_MAX_ASPECT = 4  # a thumbnail is at most this many times as wide as its height limit


def photo_file(store: Store, row: Mapping[str, Any]) -> PhotoFile:
    """Return the photo of a row (columns root, path). Raises ManifestError if it is gone or outside of its root."""
    photo = store.photo(row["root"], row["path"])
    try:
        open_photo(photo.root, photo.path).close()
    except PhotoError as error:
        if error.kind == "outside":
            raise ManifestError(f"{row['path']!r} leads out of the folder {row['root']!r}; it is not shown.") from None
        if error.kind == "missing":
            raise ManifestError(
                f"{row['path']!r} is no longer in the folder {row['root']!r}; put it back, or ingest again."
            ) from None
        raise ManifestError(f"{row['path']!r} in the folder {row['root']!r}: {error}.") from None
    return photo


def small_jpeg(image: np.ndarray, max_width_px: int, max_height_px: int) -> bytes:
    """Return a copy of an RGB image uint8 (H, W, 3) as JPEG, shrunk to fit in a box; a smaller image keeps its size."""
    small = Image.fromarray(image)
    small.thumbnail((max_width_px, max_height_px), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    small.save(data, "JPEG", quality=_QUALITY)
    return data.getvalue()


def image_url(image: np.ndarray) -> str:
    """Return an RGB image uint8 (H, W, 3) at its own size as a data URL."""
    return data_url(small_jpeg(image, image.shape[1], image.shape[0]))


def thumbnail_url(store: Store, row: Mapping[str, Any], max_width_px: int, max_height_px: int) -> str | None:
    """Return a small copy of a row's photo (columns root, path) as a data URL; None if the photo cannot be read."""
    try:
        photo = load_rgb(photo_file(store, row), at_least_px=_DECODED * max(max_width_px, max_height_px))
        return data_url(small_jpeg(photo, max_width_px, max_height_px))
    except ToolkitError:
        return None


def thumbnail(store: Store, row: Mapping[str, Any], height_px: int) -> Path:
    """Return a JPEG file of a row's photo (columns root, path, sha256, sample_id), at most `height_px` high.

    It is made by the first call and named by the hash of the photo's bytes, which are checked when it is made: what is
    shown is what the manifest means. Raises ManifestError as `photo_file`, StageError if the photo is broken or has
    changed.
    """
    photo = photo_file(store, row)
    name = file_key(row["sha256"], row["sample_id"])
    target = store.workspace / "cache" / "thumbnails" / str(height_px) / name[:2] / f"{name}.jpg"
    changed = (photo.root / photo.path).stat().st_mtime
    if not target.is_file() or target.stat().st_mtime < changed:  # the photo may be another one now
        image = load_rgb(photo, row["sha256"], at_least_px=_DECODED * height_px)
        write_atomic(target, small_jpeg(image, _MAX_ASPECT * height_px, height_px))
    return target
