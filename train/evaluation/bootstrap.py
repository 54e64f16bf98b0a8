"""The cluster bootstrap over people: confidence intervals of scores, and of differences between networks.

Whole people are drawn with replacement, because photos of one person are not independent (percentile bootstrap, Efron
1979). Intervals are one matrix product of draws with the counts of each person, not a loop over draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from data_manifests.labels import TASKS
from data_manifests.taxonomy import N_CLASSES
from train.evaluation.metrics import N_LABELLINGS, Scores, cells_of, confusion_of, not_measurable, score_arrays

ROUNDS = 1000
PERCENTILES = (2.5, 97.5)
PAIRED_SCORES = ("f1", "accuracy", "mask_f1", "gender_f1", "age_f1", "tasks_f1")


def person_counts(labels: np.ndarray, predicted: np.ndarray, persons: Sequence[str] | np.ndarray) -> np.ndarray:
    """Return counts float64 (P, N_LABELLINGS, 18) of each of P people, in order of name.

    `labels` (N, 3) and `predicted` classes (N,) are those of the rows of `persons` (N,).
    """
    names, person = np.unique(np.asarray(persons), return_inverse=True)
    size = N_LABELLINGS * N_CLASSES
    counts = np.bincount(person * size + cells_of(labels, predicted), minlength=len(names) * size)
    return counts.reshape(len(names), N_LABELLINGS, N_CLASSES).astype(np.float64)


def draw_people(people: int, rng: np.random.Generator, rounds: int = ROUNDS) -> np.ndarray:
    """Draw as many people as there are, with replacement; return the number of times each is drawn (rounds, people)."""
    return rng.multinomial(people, np.full(people, 1 / people), size=rounds).astype(np.float64)


def draw_people_after_all(people: int, rng: np.random.Generator, rounds: int = ROUNDS) -> np.ndarray:
    """Return a row of ones, which gives the estimate itself, and `draw_people` below it: (1 + rounds, people)."""
    return np.concatenate([np.ones((1, people)), draw_people(people, rng, rounds)])


def resampled_counts(draws: np.ndarray, of_person: np.ndarray) -> np.ndarray:
    """Return counts (R, N_LABELLINGS, 18) of draws (R, P) of people with counts (P, N_LABELLINGS, 18)."""
    flat = of_person.reshape(len(of_person), -1)
    occurs = flat.any(0)  # most combinations of labels and prediction never occur
    counts = np.zeros((len(draws), flat.shape[1]))
    counts[:, occurs] = draws @ flat[:, occurs]
    return counts.reshape(-1, N_LABELLINGS, N_CLASSES)


def bootstrap_counts(
    labels: np.ndarray,
    predicted: np.ndarray,
    persons: Sequence[str] | np.ndarray,
    rng: np.random.Generator,
    rounds: int = ROUNDS,
) -> np.ndarray:
    """Return counts (rounds, N_LABELLINGS, 18) of people drawn with replacement.

    `labels` (N, 3) and `predicted` classes (N,) are those of the rows of `persons` (N,).
    """
    of_person = person_counts(labels, predicted, persons)
    return resampled_counts(draw_people(len(of_person), rng, rounds), of_person)


def percentile_interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of values (rounds,), ignoring NaN; NaN if all are."""
    if np.isnan(values).all():
        return float("nan"), float("nan")
    low, high = np.nanpercentile(values, PERCENTILES)
    return float(low), float(high)


def accuracy_without_error(people: int) -> float:
    """Return the accuracy exceeded with 95 % confidence if none of the photos of `people` is wrong (Clopper-Pearson).

    All draws of such photos have the same score, so the bootstrap would give an interval without width.
    """
    return float(0.05 ** (1 / people))


def bootstrap_intervals(
    labels: np.ndarray,
    predicted: np.ndarray,
    persons: Sequence[str],
    rng: np.random.Generator,
    rounds: int = ROUNDS,
    tasks: Sequence[str] = TASKS,
) -> dict[str, tuple[float, float]]:
    """Return 95 % intervals over people of the scores of `scores_of`, by name; NaN for what cannot be measured.

    `tasks` are those that the network predicts.
    """
    without = not_measurable(confusion_of(labels, predicted), tasks)
    scores = score_arrays(bootstrap_counts(labels, predicted, persons, rng, rounds), without)
    return {name: percentile_interval(values) for name, values in scores.items()}


def paired_scores(
    labels: np.ndarray,
    predictions: dict[str, np.ndarray],
    persons: Sequence[str],
    rng: np.random.Generator,
    rounds: int = ROUNDS,
    tasks: Sequence[str] = TASKS,
) -> list[dict[str, Any]]:
    """Return scores of each name from predictions (S seeds, N), and differences from the first with 95 % intervals.

    Paired: all names are evaluated on the same draws of people, so the difficulty of the people drawn cancels out. A
    score is the mean over seeds; the interval is over people, and `spread` the standard deviation over seeds. A score
    that cannot be measured is None everywhere. `tasks` are those that the networks predict.
    """
    draws = draw_people_after_all(len(np.unique(np.asarray(persons))), rng, rounds)
    without = not_measurable(confusion_of(labels, next(iter(predictions.values()))[0]), tasks)
    by_seed: dict[str, np.ndarray] = {}  # (1 + rounds, S, scores)
    for name, rows in predictions.items():
        scores = [score_arrays(resampled_counts(draws, person_counts(labels, row, persons)), without) for row in rows]
        names = [score for score in PAIRED_SCORES if score in scores[0]]
        by_seed[name] = np.stack([np.stack([of_seed[score] for score in names], -1) for of_seed in scores], 1)
    first = by_seed[next(iter(by_seed))].mean(1)
    entries = []
    for name, values in by_seed.items():
        difference = values.mean(1) - first
        intervals = [percentile_interval(column) for column in difference[1:].T]
        entries.append(
            {
                "name": name,
                "scores": _by_name(names, values[0].mean(0)),
                "spread": _by_name(names, values[0].std(0)),
                "difference": _by_name(names, difference[0]),
                "low": _by_name(names, [low for low, _ in intervals]),
                "high": _by_name(names, [high for _, high in intervals]),
            }
        )
    return entries


def _by_name(names: Sequence[str], values: Iterable[float]) -> Scores:
    return {name: None if np.isnan(value) else float(value) for name, value in zip(names, values, strict=True)}
