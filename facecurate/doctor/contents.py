"""The contents of a photo set: labels, ages, picture sizes, people, unreadable files, and the balance of its strata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.labels import TASKS, UNKNOWN, label_codes, label_names, labelled_tasks
from data_manifests.schema import USABLE
from data_manifests.taxonomy import AgeCuts


@dataclass(frozen=True)
class TaskCounts:
    """Usable photos by label of one task, in the order of the label codes; `unknown` of them have no label."""

    task: str
    photos: dict[str, int]
    unknown: int

    @property
    def labelled(self) -> int:
        """The photos that have a label."""
        return sum(self.photos.values())


@dataclass(frozen=True)
class Unreadable:
    """A photo that cannot be used, and the reason."""

    path: str
    reason: str


@dataclass(frozen=True)
class Stratum:
    """Photos with one combination of labels, in the order of `Balance.tasks`; `missing` raise it to the largest."""

    labels: tuple[str, ...]
    photos: int
    missing: int


@dataclass(frozen=True)
class Balance:
    """Photos of each combination of labels, empty ones included, over the tasks that tell photos apart."""

    tasks: tuple[str, ...]
    strata: tuple[Stratum, ...]

    @property
    def ratio(self) -> float | None:
        """Photos of the largest stratum for each photo of the smallest that has one; None with fewer than two."""
        filled = [stratum.photos for stratum in self.strata if stratum.photos]
        return max(filled) / min(filled) if len(filled) > 1 else None

    @property
    def empty(self) -> int:
        """The number of strata without a photo."""
        return sum(stratum.photos == 0 for stratum in self.strata)

    @property
    def missing(self) -> int:
        """The photos that raise every stratum to the largest."""
        return sum(stratum.missing for stratum in self.strata)


@dataclass(frozen=True)
class Contents:
    """Counts of one version. Only usable photos are counted, except in `photos` and `unreadable`."""

    photos: int
    usable: int
    people: int
    tasks: tuple[TaskCounts, ...]  # of mask, gender and age, also of those without labels
    ages: dict[int, int]  # age in years → photos
    sizes: dict[str, int]  # such as "384×512" → photos, most frequent first
    photos_per_person: dict[int, int]  # photos of one person → people
    splits: dict[str, int]
    unreadable: tuple[Unreadable, ...]
    balance: Balance

    @property
    def labelled(self) -> tuple[TaskCounts, ...]:
        """The tasks that have a label."""
        return tuple(task for task in self.tasks if task.labelled)


def count_contents(table: pa.Table, cuts: AgeCuts) -> Contents:
    """Return the contents of a manifest table."""
    usable = table.filter(pc.is_in(table.column("status"), pa.array(USABLE)))
    per_person = np.unique_counts(usable.column("person_id").to_numpy(zero_copy_only=False).astype(str)).counts
    return Contents(
        photos=table.num_rows,
        usable=usable.num_rows,
        people=len(per_person),
        tasks=tuple(_count_task(usable, task, cuts) for task in TASKS),
        ages=_value_counts(usable.column("age")),
        sizes=_count_sizes(usable),
        photos_per_person=_value_counts(pa.array(per_person)),
        splits=_value_counts(usable.column("split")),
        unreadable=_unreadable(table),
        balance=measure_balance(usable, cuts),
    )


def measure_balance(usable: pa.Table, cuts: AgeCuts) -> Balance:
    """Return the photos of each combination of labels, over the tasks with at least two labels in these usable rows.

    A photo that lacks the label of one of these tasks is in no stratum.
    """
    tasks = tuple(task for task in labelled_tasks(usable) if len({*label_codes(usable, task)} - {UNKNOWN}) > 1)
    names = [label_names(task, cuts) for task in tasks]
    codes = [label_codes(usable, task) for task in tasks]
    known = np.logical_and.reduce([code != UNKNOWN for code in codes]) if tasks else np.zeros(usable.num_rows, bool)
    counts = np.zeros([len(of_task) for of_task in names], np.int64)
    np.add.at(counts, tuple(code[known] for code in codes), 1)
    if not tasks:
        return Balance((), ())
    largest = int(counts.max())
    strata = zip(product(*names), counts.ravel().tolist(), strict=True)
    return Balance(tasks, tuple(Stratum(labels, photos, largest - photos) for labels, photos in strata))


def _count_task(usable: pa.Table, task: str, cuts: AgeCuts) -> TaskCounts:
    names, codes = label_names(task, cuts), label_codes(usable, task)
    counts = np.bincount(codes[codes != UNKNOWN], minlength=len(names)).tolist()
    return TaskCounts(task, dict(zip(names, counts, strict=True)), int((codes == UNKNOWN).sum()))


def _count_sizes(usable: pa.Table) -> dict[str, int]:
    width, height = (usable.column(name).cast(pa.string()) for name in ("width_px", "height_px"))
    counts = _value_counts(pc.binary_join_element_wise(width, height, "×"))
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def _value_counts(values: pa.Array | pa.ChunkedArray) -> dict:
    """Return the rows of each value, sorted by value; nulls are left out."""
    counts = values.drop_null().value_counts()
    pairs: Sequence[tuple] = list(
        zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True)
    )
    return dict(sorted(pairs))


def _unreadable(table: pa.Table) -> tuple[Unreadable, ...]:
    failed = table.filter(pc.equal(table.column("status"), "failed")).select(["path", "reason"]).to_pylist()
    return tuple(Unreadable(row["path"], (row["reason"] or "").replace("ingest: ", "")) for row in failed)
