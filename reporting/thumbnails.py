"""Small copies of photos, made once and kept as files under WORKSPACE/cache/thumbnails/."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from data_manifests.errors import ManifestError
from data_manifests.versions import Store, is_inside, write_atomic
from pipeline.photos import load_rgb

_QUALITY = 85


def photo_file(store: Store, row: Mapping[str, Any]) -> Path:
    """The file of a row (columns root, path). Raises ManifestError if it is gone or leads out of its root."""
    file = store.file_of(row["root"], row["path"])
    root = os.path.realpath(store.roots()[row["root"]])
    if os.path.isabs(row["path"]) or not is_inside(root, file):
        raise ManifestError(f"{row['path']!r} leads out of the folder {row['root']!r}; it is not shown.")
    if not file.is_file():
        raise ManifestError(
            f"{row['path']!r} is no longer in the folder {row['root']!r}; put it back, or ingest again."
        )
    return file


def thumbnail(store: Store, row: Mapping[str, Any], height_px: int) -> Path:
    """A JPEG of a row's photo, `height_px` high or lower; made at the first call.

    Named by the hash of the photo's bytes, which are checked when it is made: what is shown is what the manifest means.
    Raises ManifestError as `photo_file`, StageError if the photo is broken or has changed.
    """
    file = photo_file(store, row)
    name = row["sha256"] or row["sample_id"]
    target = store.workspace / "cache" / "thumbnails" / str(height_px) / name[:2] / f"{name}.jpg"
    if not target.is_file() or target.stat().st_mtime < file.stat().st_mtime:  # written since: is it still the same?
        image = Image.fromarray(load_rgb(file, row["sha256"]))
        image.thumbnail((4 * height_px, height_px), Image.Resampling.LANCZOS)
        data = io.BytesIO()
        image.save(data, "JPEG", quality=_QUALITY)
        write_atomic(target, data.getvalue())
    return target
