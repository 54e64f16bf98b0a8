"""The pictures of the page: small copies inside it, kept in the workspace for the review app."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import ToolkitError
from data_manifests.labels import TASKS, label_codes, label_names
from data_manifests.schema import USABLE
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import Store
from reporting.html import data_url
from reporting.thumbnails import thumbnail

HEIGHT_PX = 160
EXAMPLES = 12  # photos of each label
_COLUMNS = ("sample_id", "root", "path", "sha256")


class Pictures:
    """Small copies of the photos of a table, by sample_id, each made once."""

    def __init__(self, store: Store, table: pa.Table) -> None:
        self._store, self._table = store, table.select(list(_COLUMNS))
        self._ids = table.column("sample_id").to_pylist()
        self._row_of = dict(zip(self._ids, range(len(self._ids)), strict=True))
        self._person = table.column("person_id").combine_chunks().dictionary_encode().indices.to_numpy()
        self._urls: dict[str, str | None] = {}

    def url(self, sample: str) -> str | None:
        """Return the small copy of a photo as a data URL; None if it cannot be read."""
        if sample not in self._urls:
            row = self._table.slice(self._row_of[sample], 1).to_pylist()[0]
            try:
                self._urls[sample] = data_url(thumbnail(self._store, row, HEIGHT_PX).read_bytes())
            except ToolkitError:
                self._urls[sample] = None
        return self._urls[sample]

    def path(self, sample: str) -> str:
        """Return the path of a photo within its folder."""
        return str(self._table.column("path")[self._row_of[sample]])

    def others_of_person(self, sample: str) -> list[str]:
        """Return the sample_ids of the other photos of the same person."""
        row = self._row_of[sample]
        return [self._ids[other] for other in np.flatnonzero(self._person == self._person[row]) if other != row]

    def urls(self, samples: Iterable[str], most: int) -> list[tuple[str, str]]:
        """Return path and data URL of the first `most` of these photos that can be read."""
        found: list[tuple[str, str]] = []
        for sample in samples:
            if len(found) == most:
                break
            if url := self.url(sample):
                found.append((self.path(sample), url))
        return found


def example_samples(table: pa.Table, cuts: AgeCuts) -> dict[str, dict[str, list[str]]]:
    """Return task → label → sample_ids of EXAMPLES usable photos, spread over the people; labels without a photo are
    left out. Without any label, all photos are under the task and label "".
    """
    usable = table.filter(pc.is_in(table.column("status"), pa.array(USABLE)))
    samples = usable.column("sample_id").to_pylist()
    people = usable.column("person_id").combine_chunks().dictionary_encode().indices.to_numpy()
    found: dict[str, dict[str, list[str]]] = {}
    for task in TASKS:
        codes = label_codes(usable, task)
        for code, label in enumerate(label_names(task, cuts)):
            rows = np.flatnonzero(codes == code)
            if len(rows):
                found.setdefault(task, {})[label] = [samples[row] for row in _spread(rows, people)]
    return found or {"": {"": [samples[row] for row in _spread(np.arange(len(samples)), people)]}}


def _spread(rows: np.ndarray, people: np.ndarray) -> list[int]:
    """Return EXAMPLES of these rows at equal distances, of as many people as possible."""
    _, first = np.unique(people[rows], return_index=True)
    others = np.setdiff1d(np.arange(len(rows)), first)
    kept = np.sort(first)
    if len(kept) < EXAMPLES:
        kept = np.concatenate([kept, others[: EXAMPLES - len(kept)]])
    places = np.linspace(0, len(kept) - 1, min(EXAMPLES, len(kept))).round().astype(int)
    return [int(row) for row in rows[kept[places]]]
