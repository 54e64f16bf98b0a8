"""Thumbnails of a person's photos, made in advance for the people who come next in the review."""

from __future__ import annotations

import base64
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from curation_app.images.manifest_rows import ManifestRows
from data_manifests.errors import ToolkitError
from data_manifests.versions import Store
from reporting.thumbnails import thumbnail

HEIGHT_PX = 360  # seven shots across 1920 pixels are 350 high
_MAX_PEOPLE = 64
_THREADS = 2


class PersonThumbnails:
    """A cache of the thumbnails of people, by their number in the manifest."""

    def __init__(self, store: Store, manifest: ManifestRows) -> None:
        self._store, self._manifest = store, manifest
        self._pool = ThreadPoolExecutor(_THREADS, "thumbnails")
        self._lock = threading.Lock()
        self._futures: OrderedDict[int, Future[list[dict[str, str]]]] = OrderedDict()

    def prefetch(self, people: Iterable[int]) -> None:
        """Start making the thumbnails of these people."""
        for person in people:
            self._future_of(person)

    def is_ready(self, person: int) -> bool:
        """Return whether the thumbnails of a person are made."""
        with self._lock:
            return person in self._futures and self._futures[person].done()

    def of(self, person: int) -> list[dict[str, str]]:
        """Return a person's thumbnails, one for each row: {"image": data URL} or {"problem": cause and remedy}."""
        pictures = self._future_of(person).result()
        if any("problem" in picture for picture in pictures):
            with self._lock:
                self._futures.pop(person, None)  # the file may be back next time
        return pictures

    def _future_of(self, person: int) -> Future[list[dict[str, str]]]:
        with self._lock:
            if person not in self._futures:
                self._futures[person] = self._pool.submit(self._make, person)
                while len(self._futures) > _MAX_PEOPLE:
                    self._futures.popitem(last=False)
            self._futures.move_to_end(person)
            return self._futures[person]

    def _make(self, person: int) -> list[dict[str, str]]:
        rows = self._manifest.records(self._manifest.rows_of(person))
        return [picture_of(self._store, row) for row in rows]


def picture_of(store: Store, row: Mapping[str, Any]) -> dict[str, str]:
    """Return a row's thumbnail as a data URL, so that no address leads to it, or the problem with it."""
    try:
        data = thumbnail(store, row, HEIGHT_PX).read_bytes()
    except ToolkitError as error:
        return {"problem": str(error)}
    return {"image": f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"}
