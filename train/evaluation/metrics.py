"""Scores, all computed from one 18×18 table of counts over a whole epoch.

The tables of mask, gender and age are sums over that table, so every score follows from the same predictions: the class
of the highest probability.
"""

from __future__ import annotations

import numpy as np
import torch
from torchmetrics.classification import MulticlassConfusionMatrix
from torchmetrics.functional.classification import multiclass_calibration_error

from data_manifests.taxonomy import GENDERS, MASKS, N_AGE_CLASSES, N_CLASSES, split_class_id

TASKS = ("class", "mask", "gender", "age")
N_OF_TASK = {"class": N_CLASSES, "mask": len(MASKS), "gender": len(GENDERS), "age": N_AGE_CLASSES}


class EpochCounts:
    """Counts of (true, predicted) classes over an epoch. Each process adds the whole batches, not its share."""

    def __init__(self, device: torch.device) -> None:
        self.matrix = MulticlassConfusionMatrix(N_CLASSES, sync_on_compute=False).to(device)

    def add(self, logits: torch.Tensor, target: torch.Tensor) -> None:
        """Add a batch of logits (B, 18) and classes (B,)."""
        self.matrix.update(logits, target)

    def counts(self) -> np.ndarray:
        """Return the counts, int64 (18, 18)."""
        return self.matrix.compute().cpu().numpy()


def confusion_of(target: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return counts (18, 18), rows true, columns predicted, from classes (N,) and (N,)."""
    flat = np.bincount(target.astype(np.int64) * N_CLASSES + predicted, minlength=N_CLASSES**2)
    return flat.reshape(N_CLASSES, N_CLASSES)


def task_counts(counts: np.ndarray, task: str) -> np.ndarray:
    """Return the counts (..., K, K) of a task from counts (..., 18, 18)."""
    if task == "class":
        return counts
    parts = dict(zip(TASKS[1:], split_class_id(np.arange(N_CLASSES)), strict=True))
    member = (parts[task][None] == np.arange(N_OF_TASK[task])[:, None]).astype(np.int64)  # (K, 18)
    return member @ counts @ member.T


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


def score_arrays(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Return scores (...) by name from counts (..., 18, 18): `f1`, `accuracy` of the classes, `mask_f1` …."""
    scores = {}
    for task in TASKS:
        prefix = "" if task == "class" else f"{task}_"
        table = task_counts(counts, task)
        scores[f"{prefix}f1"] = macro_f1(table)
        scores[f"{prefix}accuracy"] = accuracy(table)
    return scores


def scores_of(counts: np.ndarray) -> dict[str, float]:
    """Return the scores of one table (18, 18) by name."""
    return {name: float(value) for name, value in score_arrays(counts).items()}


def calibration_error(probability: np.ndarray, target: np.ndarray) -> float:
    """Return the expected calibration error (Guo et al. 2017, 15 bins) of probabilities (N, 18), classes (N,)."""
    return float(multiclass_calibration_error(torch.tensor(probability), torch.tensor(target), N_CLASSES, n_bins=15))
