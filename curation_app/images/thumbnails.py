"""Thumbnails of the pictures on a page, made by a few threads and sent inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

from PIL import Image

from data_manifests.errors import ToolkitError
from data_manifests.versions import Store
from reporting.thumbnails import thumbnail

_THREADS = 4
_prefetched: list[Future[Thumbnail]] = []


@dataclass(frozen=True)
class Thumbnail:
    """A thumbnail as a data URL with its size, or in `problem` the reason why there is none."""

    src: str = ""
    width_px: int = 0
    height_px: int = 0
    problem: str = ""


def load_thumbnails(store: Store, rows: Sequence[Mapping[str, Any]], height_px: int) -> list[Thumbnail]:
    """Return the thumbnails of rows (columns root, path, sha256, sample_id), in their order."""
    return list(_pool().map(lambda row: _load_thumbnail(store, row, height_px), rows))


def prefetch_thumbnails(store: Store, rows: Sequence[Mapping[str, Any]], height_px: int) -> None:
    """Start making the thumbnails that are likely needed next. Those of an earlier call that still wait are dropped."""
    for future in _prefetched:
        future.cancel()
    _prefetched[:] = [_pool().submit(_load_thumbnail, store, row, height_px) for row in rows]


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="thumbnails")


def _load_thumbnail(store: Store, row: Mapping[str, Any], height_px: int) -> Thumbnail:
    try:
        data = thumbnail(store, row, height_px).read_bytes()
    except ToolkitError as error:
        return Thumbnail(problem=str(error))
    except OSError as error:
        return Thumbnail(problem=f"the thumbnail cannot be read: {error.strerror}.")
    width, height = Image.open(io.BytesIO(data), formats=("JPEG",)).size
    return Thumbnail(f"data:image/jpeg;base64,{base64.b64encode(data).decode()}", width, height)
