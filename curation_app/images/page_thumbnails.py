"""Thumbnails of a page, made by a few threads and given to the browser inside the page."""

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
_ahead: list[Future[Picture]] = []  # what is being made before anybody asked


@dataclass(frozen=True)
class Picture:
    """A thumbnail as a data URL with its size, or in `problem` why there is none."""

    src: str = ""
    width_px: int = 0
    height_px: int = 0
    problem: str = ""


def pictures(store: Store, rows: Sequence[Mapping[str, Any]], height_px: int) -> list[Picture]:
    """The thumbnails of rows (columns root, path, sha256, sample_id), in their order."""
    return list(_pool().map(lambda row: _picture(store, row, height_px), rows))


def make_ahead(store: Store, rows: Sequence[Mapping[str, Any]], height_px: int) -> None:
    """Begin with the thumbnails that will be asked for next. What was begun for another page and waits is dropped."""
    for future in _ahead:
        future.cancel()
    _ahead[:] = [_pool().submit(_picture, store, row, height_px) for row in rows]


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="thumbnails")


def _picture(store: Store, row: Mapping[str, Any], height_px: int) -> Picture:
    try:
        data = thumbnail(store, row, height_px).read_bytes()
    except ToolkitError as error:
        return Picture(problem=str(error))
    except OSError as error:
        return Picture(problem=f"the thumbnail cannot be read: {error.strerror}.")
    width, height = Image.open(io.BytesIO(data)).size
    return Picture(f"data:image/jpeg;base64,{base64.b64encode(data).decode()}", width, height)
