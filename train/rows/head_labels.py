"""Labels that a head can learn from: the rows that have them, and the head that fits the labels there are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from data_manifests.errors import ManifestError
from data_manifests.labels import TASKS, UNKNOWN, label_codes, label_names
from data_manifests.taxonomy import AgeCuts
from train.head_parts import TASKS_OF_PART, head_for, part_names, tasks_of_head

COMPLETE_SHARE = 0.5  # from this share of rows with all three labels on, `auto` trains the 18 classes on those alone


def labels_of_rows(table: pa.Table) -> np.ndarray:
    """Return the labels of mask, gender and age of rows as codes, int64 (N, 3); UNKNOWN where there is none."""
    return np.stack([label_codes(table, task) for task in TASKS], 1)


def has_label(labels: np.ndarray, head: str) -> np.ndarray:
    """Return whether each row of labels (N, 3) has a label of at least one part of the head, bool (N,)."""
    return np.any([_is_known(labels, TASKS_OF_PART[part]) for part in part_names(head)], axis=0)


def reason_without_label(head: str) -> str:
    """Return the reason for which rows without a label of the head's parts are left out."""
    return "without a full label" if head == "class" else f"without a label of {_join(tasks_of_head(head), 'or')}"


def learnable_tasks(labels: np.ndarray) -> tuple[str, ...]:
    """Return the tasks with at least two different labels among labels (N, 3)."""
    return tuple(task for index, task in enumerate(TASKS) if len(_present(labels[:, index])) > 1)


def auto_head(labels: np.ndarray, by_parts: bool) -> str:
    """Return the head for the labels (N, 3) of training rows, N > 0: `class` where most labelled rows have all three.

    Otherwise one part for each task with at least two different labels, or for each labelled task if there is none.
    With `by_parts`, complete labels give `tasks` instead of `class`.
    """
    labelled = (labels != UNKNOWN).any(1).sum()
    complete = _is_known(labels, TASKS).sum()
    if labelled and complete >= COMPLETE_SHARE * labelled:
        return "tasks" if by_parts else "class"
    return head_for(learnable_tasks(labels) or [t for i, t in enumerate(TASKS) if len(_present(labels[:, i]))])


def constant_labels(labels: np.ndarray, cuts: AgeCuts) -> dict[str, str]:
    """Return the name of the only label of each task with a single one in labels (N, 3)."""
    present = {task: _present(labels[:, index]) for index, task in enumerate(TASKS)}
    return {task: label_names(task, cuts)[int(codes[0])] for task, codes in present.items() if len(codes) == 1}


def check_head(ref: str, labels: np.ndarray, head: str, cuts: AgeCuts) -> None:
    """Check that training rows with labels (N, 3) have something to learn for each part of the head.

    Raises ManifestError with the labels that are missing, and the head that fits.
    """
    tasks, advice = learnable_tasks(labels), ""
    if tasks and head_for(tasks) != head:
        advice = f" Train with model.head={auto_head(labels, by_parts=True)}"
    unlabelled = [task for index, task in enumerate(TASKS) if not len(_present(labels[:, index]))]
    if len(unlabelled) == len(TASKS):
        raise ManifestError(f"{ref}: none of the {len(labels)} rows in train has a label. Label them: facecurate app")
    missing = [task for task in tasks_of_head(head) if task in unlabelled]
    if missing:
        nothing = _join([f"no {task}" for task in missing], "and")
        raise ManifestError(
            f"{ref}: {len(labels)} rows in train have {nothing}.{advice or ' Label them: facecurate app'}"
        )
    for part in part_names(head):
        if not _is_known(labels, TASKS_OF_PART[part]).any():
            both = _join(TASKS_OF_PART[part], "and")
            raise ManifestError(f"{ref}: no row in train has {both} together, which model.head={head} needs.{advice}")
    if not set(tasks_of_head(head)) & set(tasks):
        only = ", ".join(
            f"{task} {name!r}" for task, name in constant_labels(labels, cuts).items() if task in tasks_of_head(head)
        )
        raise ManifestError(f"{ref}: all labelled rows in train have {only}: there is nothing to learn.{advice}")


def _is_known(labels: np.ndarray, tasks: Sequence[str]) -> np.ndarray:
    """Return whether rows of labels (N, 3) have all labels of `tasks`, bool (N,)."""
    return (labels[:, [TASKS.index(task) for task in tasks]] != UNKNOWN).all(1)


def _present(codes: np.ndarray) -> np.ndarray:
    return np.unique(codes[codes != UNKNOWN])


def _join(words: Sequence[str], last: str) -> str:
    """Return words as text: ["a", "b", "c"] → "a, b and c"."""
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
