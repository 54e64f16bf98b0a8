"""Compare predictions on the same people, with intervals from a paired bootstrap over people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from train.evaluation.metrics import drawn_counts, person_counts, person_draws, score_arrays

SCORES = ("f1", "accuracy", "mask_f1", "gender_f1", "age_f1")


def paired_scores(
    target: np.ndarray,
    predictions: dict[str, np.ndarray],
    persons: Sequence[str],
    rng: np.random.Generator,
    rounds: int = 1000,
) -> list[dict[str, Any]]:
    """Scores of each name from predictions (S seeds, N), and differences from the first with 95 % intervals.

    Paired: every draw of people judges all names, so what is easy or hard about the people drawn cancels out. A score
    is the mean over seeds; the interval is about people, and `spread` (standard deviation) about seeds.
    """
    n = len(np.unique(np.asarray(persons)))
    weights = np.concatenate([np.ones((1, n)), person_draws(n, rng, rounds)])  # first everybody once
    by_seed = {
        name: np.stack([_scores(drawn_counts(weights, person_counts(target, row, persons))) for row in rows], 1)
        for name, rows in predictions.items()
    }  # (1 + rounds, S, scores)
    first = by_seed[next(iter(by_seed))].mean(1)
    out = []
    for name, values in by_seed.items():
        difference = values.mean(1) - first
        low, high = np.nanpercentile(difference[1:], (2.5, 97.5), axis=0)
        out.append(
            {
                "name": name,
                "scores": _named(values[0].mean(0)),
                "spread": _named(values[0].std(0)),
                "difference": _named(difference[0]),
                "low": _named(low),
                "high": _named(high),
            }
        )
    return out


def _scores(counts: np.ndarray) -> np.ndarray:
    """Counts (R, 18, 18) → SCORES (R, scores)."""
    scores = score_arrays(counts)
    return np.stack([scores[name] for name in SCORES], -1)


def _named(values: np.ndarray) -> dict[str, float]:
    return dict(zip(SCORES, map(float, values), strict=True))
