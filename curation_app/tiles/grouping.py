"""Groups of photos by their labels: by one task, or by all tasks with labels together; photos without a label too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from curation_app.tiles.actions import text_of
from data_manifests.labels import N_LABELS, TASKS, UNKNOWN, label_names
from data_manifests.taxonomy import AgeCuts
from reporting.tables import TASK_TITLES

TOGETHER = "class"  # the field of a grouping by several tasks


@dataclass(frozen=True)
class Grouping:
    """A way to group photos, by one task or by several. `names` are those of the groups, in the order of their codes.

    A code counts through the labels of the tasks, those of the last task fastest: with all three it is the class id.
    """

    field: str  # a task, or TOGETHER
    title: str
    tasks: tuple[str, ...]
    names: tuple[str, ...]

    def codes(self, labels: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the group of each row (N,) from the codes (N,) of its labels; UNKNOWN where one of them is."""
        first, *rest = (labels[task].astype(np.int16) for task in self.tasks)
        group, known = first, first != UNKNOWN
        for task, codes in zip(self.tasks[1:], rest, strict=True):
            group, known = group * N_LABELS[task] + codes, known & (codes != UNKNOWN)
        return np.where(known, group, UNKNOWN)

    @property
    def unknown_name(self) -> str:
        """The name of the group of photos without a label, or with several tasks without one of the labels."""
        return "unknown" if len(self.tasks) == 1 else "not all labels known"

    def name_of(self, code: int) -> str:
        """Return the name of a group, also of UNKNOWN."""
        return self.unknown_name if code == UNKNOWN else self.names[code]


def groupings(
    labels: Mapping[str, np.ndarray], where: np.ndarray, cuts: AgeCuts, *, with_unlabelled: bool = False
) -> list[Grouping]:
    """Return the ways to group the rows `where` (N,) by the codes of labels (N,) of each task.

    First by all tasks with labels together, if a row has all of these labels; then by each of these tasks; with
    `with_unlabelled` also by each of the other tasks, where every photo is in the group `unknown`.
    """
    known = {task: (labels[task] != UNKNOWN) & where for task in TASKS if task in labels}
    labelled = tuple(task for task, rows in known.items() if rows.any())
    found = [_grouping((task,), cuts) for task in labelled]
    if len(labelled) > 1 and np.logical_and.reduce([known[task] for task in labelled]).any():
        found.insert(0, _grouping(labelled, cuts))
    if with_unlabelled:
        found += [_grouping((task,), cuts) for task in TASKS if task not in labelled]
    return found


def _grouping(tasks: tuple[str, ...], cuts: AgeCuts) -> Grouping:
    parts = [[display_label(task, code, cuts) for code in range(N_LABELS[task])] for task in tasks]
    names = tuple(", ".join(combination) for combination in product(*parts))
    titles = [TASK_TITLES[task] for task in tasks]
    if len(tasks) == 1:
        return Grouping(tasks[0], titles[0], tasks, names)
    together = f"All {len(names)} classes" if tasks == TASKS else f"{titles[0]} and {titles[1].lower()}"
    return Grouping(TOGETHER, together, tasks, names)


def display_label(task: str, code: int, cuts: AgeCuts) -> str:
    """Return a label, given by its code, as a page shows it."""
    return cuts.display_names[code] if task == "age" else text_of(task, label_names(task, cuts)[code], cuts)
