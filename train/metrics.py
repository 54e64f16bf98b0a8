"""Scores, all taken from one 18×18 table of counts that is filled over a whole epoch.

The tables of mask, gender and age are sums over that one, so every score follows from the same predictions: the class
with the highest probability.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torchmetrics.classification import MulticlassConfusionMatrix
from torchmetrics.functional.classification import multiclass_calibration_error

from data_manifests.taxonomy import GENDERS, MASKS, N_AGE_CLASSES, N_CLASSES, split_class_id

TASKS = ("class", "mask", "gender", "age")
N_OF_TASK = {"class": N_CLASSES, "mask": len(MASKS), "gender": len(GENDERS), "age": N_AGE_CLASSES}


class EpochCounts:
    """Counts of (true, predicted) over an epoch; torchmetrics adds them up over batches, and over processes."""

    def __init__(self, device: torch.device) -> None:
        self.matrix = MulticlassConfusionMatrix(N_CLASSES).to(device)

    def add(self, logits: torch.Tensor, target: torch.Tensor) -> None:
        self.matrix.update(logits, target)

    def counts(self) -> np.ndarray:
        """int64 (18, 18)."""
        return self.matrix.compute().cpu().numpy()


def confusion_of(target: np.ndarray, predicted: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Classes (N,) and (N,) → counts (18, 18), rows true, columns predicted; `weight` (N,) counts a row so often."""
    flat = np.bincount(target.astype(np.int64) * N_CLASSES + predicted, weight, minlength=N_CLASSES**2)
    return flat.reshape(N_CLASSES, N_CLASSES)


def task_counts(counts: np.ndarray, task: str) -> np.ndarray:
    """Counts (..., 18, 18) → counts (..., K, K) of a task."""
    if task == "class":
        return counts
    parts = dict(zip(TASKS[1:], split_class_id(np.arange(N_CLASSES)), strict=True))
    member = (parts[task][None] == np.arange(N_OF_TASK[task])[:, None]).astype(np.int64)  # (K, 18)
    return member @ counts @ member.T


def f1_per_class(counts: np.ndarray) -> np.ndarray:
    """F1 (..., K) from counts (..., K, K); NaN for a class that has no true sample."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    true, predicted = counts.sum(-1), counts.sum(-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(true > 0, 2 * hits / (true + predicted), np.nan)


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """Mean F1 (...) over the classes that have true samples; NaN if none has."""
    f1 = f1_per_class(counts)
    present = ~np.isnan(f1)
    with np.errstate(invalid="ignore"):
        return np.where(present, f1, 0).sum(-1) / present.sum(-1)


def accuracy(counts: np.ndarray) -> np.ndarray:
    """Share of counts on the diagonal (...); NaN without any."""
    with np.errstate(invalid="ignore"):
        return np.trace(counts, axis1=-2, axis2=-1) / counts.sum((-2, -1))


def scores_of(counts: np.ndarray) -> dict[str, float]:
    """`f1` and `accuracy` of the 18 classes, `mask_f1`, `mask_accuracy` and so on of the tasks."""
    scores = {}
    for task in TASKS:
        prefix = "" if task == "class" else f"{task}_"
        table = task_counts(counts, task)
        scores[f"{prefix}f1"] = float(macro_f1(table))
        scores[f"{prefix}accuracy"] = float(accuracy(table))
    return scores


def bootstrap_intervals(
    target: np.ndarray, predicted: np.ndarray, persons: Sequence[str], rng: np.random.Generator, rounds: int = 1000
) -> dict[str, tuple[float, float]]:
    """95 % intervals of `scores_of`, drawing whole people with replacement: photos of one person are not independent.

    Percentile bootstrap (Efron 1979) of clusters.
    """
    _, person = np.unique(np.asarray(persons), return_inverse=True)
    n_persons = int(person.max()) + 1
    draws = []
    for _ in range(rounds):
        times = np.bincount(rng.integers(n_persons, size=n_persons), minlength=n_persons)
        draws.append(scores_of(confusion_of(target, predicted, times[person])))
    bounds = {name: np.nanpercentile([draw[name] for draw in draws], (2.5, 97.5)) for name in draws[0]}
    return {name: (float(low), float(high)) for name, (low, high) in bounds.items()}


def calibration_error(probability: np.ndarray, target: np.ndarray) -> float:
    """Expected calibration error over 15 bins of confidence (Guo et al. 2017), from probabilities (N, 18)."""
    return float(multiclass_calibration_error(torch.tensor(probability), torch.tensor(target), N_CLASSES, n_bins=15))
