"""A linear probe that never sees the person it judges: ridge regression with exact leave-one-person-out predictions.

Predictions for held-out people follow from one factorisation (the PRESS identity of Allen 1974, in blocks): with hat
matrix H, the held-out residuals of person g are (I - H_gg)^-1 (y - Hy)_g. So every person is judged by a probe fitted
on all the others, for about the price of one fit, and with more data behind it than in five folds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PENALTIES = tuple(10.0**power for power in np.arange(-1.5, 2.01, 0.5))  # for rows of length 1 (`standardise`)


@dataclass(frozen=True)
class Probe:
    """What is left of the factorisation: H = basis @ diag(shrink) @ basis.T + 1/N."""

    basis: np.ndarray  # (N, K) orthonormal
    spectrum: np.ndarray  # (K,) squared singular values
    groups: list[np.ndarray]  # rows of each size of person: (people, photos of each)


def standardise(features: np.ndarray) -> np.ndarray:
    """Columns (N, D) of mean 0 and deviation 1, scaled so that a row has length about 1; constant columns become 0."""
    centred = features.astype(np.float32) - features.mean(axis=0, dtype=np.float64).astype(np.float32)
    deviation = centred.std(axis=0)
    return np.asarray(centred / np.where(deviation > 1e-6, deviation, np.inf) / np.float32(features.shape[1] ** 0.5))


def make_probe(features: np.ndarray, persons: np.ndarray) -> Probe:
    """Factorise features (N, D) float32, whose columns are made to have mean 0. `persons` (N,) integers."""
    centred = features - features.mean(axis=0)
    n, d = centred.shape
    if d <= n:
        values, vectors = np.linalg.eigh((centred.T @ centred).astype(np.float64))
        kept = values > values[-1] * 1e-7
        spectrum = values[kept]
        basis = (centred @ vectors[:, kept].astype(np.float32)) / np.sqrt(spectrum).astype(np.float32)
    else:
        values, vectors = np.linalg.eigh((centred @ centred.T).astype(np.float64))
        kept = values > values[-1] * 1e-7
        spectrum, basis = values[kept], vectors[:, kept].astype(np.float32)
    order = np.argsort(persons, kind="stable")
    _, starts, counts = np.unique(persons[order], return_index=True, return_counts=True)
    groups = [
        np.stack([order[s : s + size] for s in starts[counts == size].tolist()]) for size in np.unique(counts).tolist()
    ]
    return Probe(basis, spectrum, groups)


def held_out(probe: Probe, targets: np.ndarray, penalty: float) -> np.ndarray:
    """Predictions (N, T) for targets (N, T), each by a ridge without the photos of that person."""
    shrink = (probe.spectrum / (probe.spectrum + penalty)).astype(np.float32)
    mean = targets.mean(axis=0)
    fitted = probe.basis @ (shrink[:, None] * (probe.basis.T @ (targets - mean).astype(np.float32))) + mean
    residual = targets - fitted
    predicted = np.empty_like(residual, dtype=np.float64)
    for rows in probe.groups:
        part = probe.basis[rows]  # (people, photos, K)
        hat = np.einsum("pik,k,pjk->pij", part, shrink, part, optimize=True) + 1 / len(targets)
        left = np.eye(rows.shape[1]) - hat
        predicted[rows] = targets[rows] - np.linalg.solve(left.astype(np.float64), residual[rows])
    return predicted


def best_penalty(probe: Probe, targets: np.ndarray) -> float:
    """The penalty of PENALTIES whose held-out predictions err least (absolute errors, so outliers count once)."""
    losses = [np.abs(held_out(probe, targets, p) - targets).sum() for p in PENALTIES]
    return PENALTIES[int(np.argmin(losses))]
