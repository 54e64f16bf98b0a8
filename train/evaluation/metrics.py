"""Scores, all computed from one table of counts over a whole epoch: labels (mask, gender, age) × predicted class.

A label may be unknown, so a task's scores count the rows that have its label, and those of the 18 classes the rows that
have all three. Each follows from the same predictions: the class of the highest probability.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from data_manifests.labels import N_LABELS, UNKNOWN, class_of_labels
from data_manifests.labels import TASKS as LABEL_TASKS
from data_manifests.taxonomy import N_CLASSES, split_class_id

TASKS = ("class", *LABEL_TASKS)
N_OF_TASK = {"class": N_CLASSES, **N_LABELS}
NOT_TRAINED = "not trained"  # the reason for a task that the network does not predict; reports leave it out
Scores = dict[str, float | None]  # None: not measurable

_SIZES = tuple(N_LABELS[task] + 1 for task in LABEL_TASKS)  # values of a label, the first of which is unknown
N_LABELLINGS = math.prod(_SIZES)  # combinations of three labels, known or not
_LABELS = np.stack(np.unravel_index(np.arange(N_LABELLINGS), _SIZES), 1) + UNKNOWN  # (N_LABELLINGS, 3)


_TASK_LABELS = {  # task → its label of each combination of labels (N_LABELLINGS,), and of each class (18,)
    task: (labelled, of_class)
    for task, labelled, of_class in zip(
        TASKS,
        (class_of_labels(_LABELS), *_LABELS.T),
        (np.arange(N_CLASSES), *split_class_id(np.arange(N_CLASSES))),
        strict=True,
    )
}


class EpochCounts:
    """Counts of (labels, predicted class) over an epoch. Each process adds the whole batches, not its share."""

    def __init__(self, device: torch.device) -> None:
        self.flat = torch.zeros(N_LABELLINGS * N_CLASSES, dtype=torch.int64, device=device)

    def add(self, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Add a batch of logits (B, 18) and labels (B, 3)."""
        cell = torch.zeros_like(labels[:, 0])
        for codes, size in zip(labels.T, _SIZES, strict=True):
            cell = cell * size + codes - UNKNOWN
        cell = cell * N_CLASSES + logits.argmax(1)
        self.flat.index_add_(0, cell, torch.ones_like(cell))

    def counts(self) -> np.ndarray:
        """Return the counts, int64 (N_LABELLINGS, 18)."""
        return self.flat.view(N_LABELLINGS, N_CLASSES).cpu().numpy()


def cells_of(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the cell (N,) of a flat table of counts for labels (N, 3) and predicted classes (N,)."""
    return np.ravel_multi_index(tuple((labels - UNKNOWN).T), _SIZES) * N_CLASSES + predicted


def confusion_of(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return counts (N_LABELLINGS, 18), rows true, columns predicted, from labels (N, 3) and classes (N,)."""
    flat = np.bincount(cells_of(labels, predicted), minlength=N_LABELLINGS * N_CLASSES)
    return flat.reshape(N_LABELLINGS, N_CLASSES)


def task_counts(counts: np.ndarray, task: str) -> np.ndarray:
    """Return the counts (..., K, K) of a task, over the rows that have its label, of counts (..., N_LABELLINGS, 18)."""
    labelled, of_class = _TASK_LABELS[task]
    values = np.arange(N_OF_TASK[task])[:, None]
    rows, columns = ((labels[None] == values).astype(counts.dtype) for labels in (labelled, of_class))
    return rows @ counts @ columns.T


def f1_per_class(counts: np.ndarray) -> np.ndarray:
    """Return F1 (..., K) from counts (..., K, K); NaN for a class without true samples."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    true, predicted = counts.sum(-1), counts.sum(-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(true > 0, 2 * hits / (true + predicted), np.nan)


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """Return the mean F1 (...) over the classes with true samples; NaN if there are none."""
    f1 = f1_per_class(counts)
    present = ~np.isnan(f1)
    with np.errstate(invalid="ignore"):
        return np.where(present, f1, 0).sum(-1) / present.sum(-1)


def accuracy(counts: np.ndarray) -> np.ndarray:
    """Return the share of counts on the diagonal (...); NaN for an empty table."""
    with np.errstate(invalid="ignore"):
        return np.trace(counts, axis1=-2, axis2=-1) / counts.sum((-2, -1))


def not_measurable(counts: np.ndarray, tasks: Sequence[str] = LABEL_TASKS, where: str = "validation") -> dict[str, str]:
    """Return the reason for each of TASKS that counts (N_LABELLINGS, 18) give no score of.

    `tasks` are those that the network predicts. A score needs rows with at least two different labels: of a single one,
    every constant prediction would be right.
    """
    reasons = {}
    for task in TASKS:
        n_labels = int((task_counts(counts, task).sum(1) > 0).sum())
        if not set(LABEL_TASKS if task == "class" else [task]) <= set(tasks):
            reasons[task] = NOT_TRAINED
        elif not n_labels:
            reasons[task] = f"no {'row with all three labels' if task == 'class' else 'labels'} in {where}"
        elif n_labels == 1:
            reasons[task] = f"one class in {where}"
    return reasons


def score_arrays(counts: np.ndarray, without: Mapping[str, str] | None = None) -> dict[str, np.ndarray]:
    """Return scores (...) by name from counts (..., N_LABELLINGS, 18), NaN for the tasks of `without`.

    Names are `f1`, `accuracy` of the classes, `mask_f1` …; where the classes cannot be measured but several tasks can,
    also `tasks_f1`, the mean of their macro F1.
    """
    scores, without = {}, without or {}
    for task in TASKS:
        prefix = "" if task == "class" else f"{task}_"
        table = task_counts(counts, task)
        nothing = np.full(counts.shape[:-2], np.nan)
        scores[f"{prefix}f1"] = nothing if task in without else macro_f1(table)
        scores[f"{prefix}accuracy"] = nothing if task in without else accuracy(table)
    measured = [scores[f"{task}_f1"] for task in LABEL_TASKS if task not in without]
    if "class" in without and len(measured) > 1:
        scores["tasks_f1"] = np.mean(measured, axis=0)
    return scores


def scores_of(counts: np.ndarray, tasks: Sequence[str] = LABEL_TASKS) -> Scores:
    """Return the scores of one table (N_LABELLINGS, 18) by name, for the `tasks` that the network predicts."""
    scores = score_arrays(counts, not_measurable(counts, tasks))
    return {name: None if np.isnan(value) else float(value) for name, value in scores.items()}


def headline_of(scores: Mapping[str, float | None]) -> str | None:
    """Return the name of the main score: that of the classes if it is measured, else of the tasks, else of a task."""
    names = ("f1", "tasks_f1", *(f"{task}_f1" for task in LABEL_TASKS))
    return next((name for name in names if scores.get(name) is not None), None)


def score_title(name: str) -> str:
    """Return the name of a macro F1 for display: f1 → "macro F1", mask_f1 → "mask macro F1"."""
    titles = {"f1": "macro F1", "tasks_f1": "mean macro F1 of the tasks"}
    return titles.get(name, name.replace("_f1", " macro F1"))


def task_probabilities(probability: np.ndarray, task: str) -> np.ndarray:
    """Return the probabilities (..., K) of a task's labels from those of the 18 classes (..., 18)."""
    return probability @ (_TASK_LABELS[task][1][:, None] == np.arange(N_OF_TASK[task])).astype(probability.dtype)


def calibration_error(probability: np.ndarray, target: np.ndarray) -> float:
    """Return the expected calibration error (Guo et al. 2017, 15 bins) of probabilities (N, K), classes (N,)."""
    from torchmetrics.functional.classification import multiclass_calibration_error  # takes seconds to import

    classes = probability.shape[1]
    return float(multiclass_calibration_error(torch.tensor(probability), torch.tensor(target), classes, n_bins=15))
