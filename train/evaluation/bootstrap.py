"""The cluster bootstrap over people: confidence intervals of scores, and of differences between networks.

Whole people are drawn with replacement, because photos of one person are not independent (percentile bootstrap, Efron
1979). Intervals are one matrix product of draws with the counts of each person, not a loop over draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from data_manifests.taxonomy import N_CLASSES
from train.evaluation.metrics import score_arrays

ROUNDS = 1000
PERCENTILES = (2.5, 97.5)
PAIRED_SCORES = ("f1", "accuracy", "mask_f1", "gender_f1", "age_f1")


def person_counts(target: np.ndarray, predicted: np.ndarray, persons: Sequence[str] | np.ndarray) -> np.ndarray:
    """Return counts float64 (P, 18, 18) of each of P people, in order of name, from classes (N,) and persons (N,)."""
    names, person = np.unique(np.asarray(persons), return_inverse=True)
    cell = (person * N_CLASSES + target.astype(np.int64)) * N_CLASSES + predicted
    counts = np.bincount(cell, minlength=len(names) * N_CLASSES**2)
    return counts.reshape(len(names), N_CLASSES, N_CLASSES).astype(np.float64)


def draw_people(people: int, rng: np.random.Generator, rounds: int = ROUNDS) -> np.ndarray:
    """Draw as many people as there are, with replacement; return the number of times each is drawn (rounds, people)."""
    return rng.multinomial(people, np.full(people, 1 / people), size=rounds).astype(np.float64)


def draw_people_after_all(people: int, rng: np.random.Generator, rounds: int = ROUNDS) -> np.ndarray:
    """Return a row of ones, which gives the estimate itself, and `draw_people` below it: (1 + rounds, people)."""
    return np.concatenate([np.ones((1, people)), draw_people(people, rng, rounds)])


def resampled_counts(draws: np.ndarray, of_person: np.ndarray) -> np.ndarray:
    """Return counts (R, 18, 18) of draws (R, P) of people with counts (P, 18, 18)."""
    return (draws @ of_person.reshape(len(of_person), -1)).reshape(-1, N_CLASSES, N_CLASSES)


def bootstrap_counts(
    target: np.ndarray,
    predicted: np.ndarray,
    persons: Sequence[str] | np.ndarray,
    rng: np.random.Generator,
    rounds: int = ROUNDS,
) -> np.ndarray:
    """Return counts (rounds, 18, 18) of people drawn with replacement, from classes (N,) and persons (N,)."""
    of_person = person_counts(target, predicted, persons)
    return resampled_counts(draw_people(len(of_person), rng, rounds), of_person)


def percentile_interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of values (rounds,), ignoring NaN."""
    low, high = np.nanpercentile(values, PERCENTILES)
    return float(low), float(high)


def bootstrap_intervals(
    target: np.ndarray, predicted: np.ndarray, persons: Sequence[str], rng: np.random.Generator, rounds: int = ROUNDS
) -> dict[str, tuple[float, float]]:
    """Return 95 % intervals over people of the scores of `scores_of`, by name."""
    scores = score_arrays(bootstrap_counts(target, predicted, persons, rng, rounds))
    return {name: percentile_interval(values) for name, values in scores.items()}


def paired_scores(
    target: np.ndarray,
    predictions: dict[str, np.ndarray],
    persons: Sequence[str],
    rng: np.random.Generator,
    rounds: int = ROUNDS,
) -> list[dict[str, Any]]:
    """Return scores of each name from predictions (S seeds, N), and differences from the first with 95 % intervals.

    Paired: all names are evaluated on the same draws of people, so the difficulty of the people drawn cancels out. A
    score is the mean over seeds; the interval is over people, and `spread` the standard deviation over seeds.
    """
    draws = draw_people_after_all(len(np.unique(np.asarray(persons))), rng, rounds)
    by_seed = {
        name: np.stack([_paired(resampled_counts(draws, person_counts(target, row, persons))) for row in rows], 1)
        for name, rows in predictions.items()
    }  # (1 + rounds, S, scores)
    first = by_seed[next(iter(by_seed))].mean(1)
    entries = []
    for name, values in by_seed.items():
        difference = values.mean(1) - first
        low, high = np.nanpercentile(difference[1:], PERCENTILES, axis=0)
        entries.append(
            {
                "name": name,
                "scores": _by_name(values[0].mean(0)),
                "spread": _by_name(values[0].std(0)),
                "difference": _by_name(difference[0]),
                "low": _by_name(low),
                "high": _by_name(high),
            }
        )
    return entries


def _paired(counts: np.ndarray) -> np.ndarray:
    """Return PAIRED_SCORES (R, scores) from counts (R, 18, 18)."""
    scores = score_arrays(counts)
    return np.stack([scores[name] for name in PAIRED_SCORES], -1)


def _by_name(values: np.ndarray) -> dict[str, float]:
    return dict(zip(PAIRED_SCORES, map(float, values), strict=True))
