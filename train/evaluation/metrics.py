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
    """Counts of (true, predicted) over an epoch, added up over batches. Each process is given the whole batches."""

    def __init__(self, device: torch.device) -> None:
        self.matrix = MulticlassConfusionMatrix(N_CLASSES, sync_on_compute=False).to(device)

    def add(self, logits: torch.Tensor, target: torch.Tensor) -> None:
        self.matrix.update(logits, target)

    def counts(self) -> np.ndarray:
        """int64 (18, 18)."""
        return self.matrix.compute().cpu().numpy()


def confusion_of(target: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Classes (N,) and (N,) → counts (18, 18), rows true, columns predicted."""
    flat = np.bincount(target.astype(np.int64) * N_CLASSES + predicted, minlength=N_CLASSES**2)
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


def score_arrays(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Scores (...) by name from counts (..., 18, 18): `f1`, `accuracy` of the 18 classes, `mask_f1` … of the tasks."""
    scores = {}
    for task in TASKS:
        prefix = "" if task == "class" else f"{task}_"
        table = task_counts(counts, task)
        scores[f"{prefix}f1"] = macro_f1(table)
        scores[f"{prefix}accuracy"] = accuracy(table)
    return scores


def scores_of(counts: np.ndarray) -> dict[str, float]:
    """`score_arrays` of one table (18, 18)."""
    return {name: float(value) for name, value in score_arrays(counts).items()}


def person_counts(target: np.ndarray, predicted: np.ndarray, persons: Sequence[str]) -> np.ndarray:
    """Counts float64 (P, 18, 18) of each of P people, in order of name."""
    names, person = np.unique(np.asarray(persons), return_inverse=True)
    cell = (person * N_CLASSES + target.astype(np.int64)) * N_CLASSES + predicted
    counts = np.bincount(cell, minlength=len(names) * N_CLASSES**2)
    return counts.reshape(len(names), N_CLASSES, N_CLASSES).astype(np.float64)


def person_draws(people: int, rng: np.random.Generator, rounds: int) -> np.ndarray:
    """How often each person is drawn, float64 (rounds, people): as many as there are, with replacement."""
    return rng.multinomial(people, np.full(people, 1 / people), size=rounds).astype(np.float64)


def drawn_counts(draws: np.ndarray, of_person: np.ndarray) -> np.ndarray:
    """Draws (R, P) of people with counts (P, 18, 18) → counts (R, 18, 18): one product, not a loop over rounds."""
    return (draws @ of_person.reshape(len(of_person), -1)).reshape(-1, N_CLASSES, N_CLASSES)


def bootstrap_intervals(
    target: np.ndarray, predicted: np.ndarray, persons: Sequence[str], rng: np.random.Generator, rounds: int = 1000
) -> dict[str, tuple[float, float]]:
    """95 % intervals of `scores_of`, drawing whole people with replacement: photos of one person are not independent.

    Percentile bootstrap (Efron 1979) of clusters.
    """
    of_person = person_counts(target, predicted, persons)
    drawn = score_arrays(drawn_counts(person_draws(len(of_person), rng, rounds), of_person))
    bounds = {name: np.nanpercentile(values, (2.5, 97.5)) for name, values in drawn.items()}
    return {name: (float(low), float(high)) for name, (low, high) in bounds.items()}


def calibration_error(probability: np.ndarray, target: np.ndarray) -> float:
    """Expected calibration error over 15 bins of confidence (Guo et al. 2017), from probabilities (N, 18)."""
    return float(multiclass_calibration_error(torch.tensor(probability), torch.tensor(target), N_CLASSES, n_bins=15))
