"""The tasks that a table has labels for: mask, gender and age, any of which may be unknown in some rows or in all.

Everything that counts, splits, balances, trains or reports by labels asks here which tasks exist. Figures of the 18
classes are shown only where `has_all_tasks` is true.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import ManifestError, must_be_one_of
from data_manifests.schema import USABLE
from data_manifests.taxonomy import GENDERS, MASKS, N_AGE_CLASSES, AgeCuts, split_class_id

TASKS = ("mask", "gender", "age")
TASK_COLUMN = {"mask": "mask", "gender": "gender", "age": "age_class"}  # the column with a task's label
N_LABELS = {"mask": len(MASKS), "gender": len(GENDERS), "age": N_AGE_CLASSES}
UNKNOWN = -1  # code of a label that is not known


def label_names(task: str, cuts: AgeCuts) -> tuple[str, ...]:
    """Return the names of a task's labels in the order of their codes; those of age follow from the cuts.

    Raises ManifestError for another task.
    """
    names = {"mask": MASKS, "gender": GENDERS, "age": cuts.names}
    if task not in names:
        raise ManifestError(must_be_one_of("task", TASKS, task))
    return names[task]


def label_codes(table: pa.Table, task: str) -> np.ndarray:
    """Return the label of each row as a code, int64 (N,): a position in `label_names`, or UNKNOWN."""
    values = table.column(TASK_COLUMN[task])
    if task != "age":
        values = pc.index_in(values, pa.array(label_names(task, AgeCuts())))
    return pc.fill_null(values.cast(pa.int64()), UNKNOWN).to_numpy()


def labelled_tasks(table: pa.Table) -> tuple[str, ...]:
    """Return the tasks, in the order of TASKS, for which at least one usable row has a label.

    `table` needs the columns status, mask, gender and age_class.
    """
    usable = table.filter(pc.is_in(table.column("status"), pa.array(USABLE)))
    return tuple(task for task in TASKS if usable.column(TASK_COLUMN[task]).null_count < usable.num_rows)


def has_all_tasks(table: pa.Table) -> bool:
    """Return whether a usable row with all three labels exists, so that the 18 classes have a meaning."""
    usable = table.filter(pc.is_in(table.column("status"), pa.array(USABLE)))
    known = np.ones(usable.num_rows, bool)
    for task in TASKS:
        known &= label_codes(usable, task) != UNKNOWN
    return bool(known.any())


def missing_labels_text(table: pa.Table, tasks: Sequence[str] = TASKS) -> str:
    """Return how many usable rows lack labels of these tasks, such as "150 rows have no gender and no age".

    Several combinations are joined by `, `, the most frequent first; the text is empty where nothing is missing.
    """
    usable = table.filter(pc.is_in(table.column("status"), pa.array(USABLE)))
    missing = np.stack([label_codes(usable, task) == UNKNOWN for task in tasks], axis=1)  # (N, tasks)
    counts = Counter(map(tuple, missing[missing.any(1)].tolist()))
    parts = []
    for lacks, rows in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        names = " and ".join(f"no {task}" for task, lack in zip(tasks, lacks, strict=True) if lack)
        names = "no label" if lacks == (True,) * len(TASKS) else names
        parts.append(f"{rows:,} {'row has' if rows == 1 else 'rows have'} {names}")
    return ", ".join(parts)


def class_of_labels(labels: np.ndarray) -> np.ndarray:
    """Return the class (N,) of labels of mask, gender and age (N, 3); UNKNOWN where not all three are known."""
    class_id = (labels[:, 0] * N_LABELS["gender"] + labels[:, 1]) * N_LABELS["age"] + labels[:, 2]
    return np.where((labels != UNKNOWN).all(1), class_id, UNKNOWN)


def labels_of_class(class_id: np.ndarray) -> np.ndarray:
    """Return the labels of mask, gender and age (N, 3) of classes (N,); UNKNOWN for the class UNKNOWN."""
    labels = np.stack(split_class_id(class_id.astype(np.int64)), 1)
    return np.where(class_id[:, None] == UNKNOWN, UNKNOWN, labels)
