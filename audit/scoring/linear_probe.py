"""Ridge regression with exact leave-one-person-out predictions.

Predictions for held-out people follow from one factorisation (the PRESS identity of Allen 1974, in blocks): with hat
matrix H, the held-out residuals of person g are (I - H_gg)^-1 (y - Hy)_g. Every person is predicted by a probe fitted
on all the others, at about the cost of one fit, and from more data than five folds leave.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PENALTIES = tuple(10.0**power for power in np.arange(-1.5, 2.01, 0.5))  # for rows of length 1 (`standardise`)


@dataclass(frozen=True)
class RidgeFactors:
    """Factorisation of a feature matrix: H = basis @ diag(shrink) @ basis.T + 1/N."""

    basis: np.ndarray  # (N, K) orthonormal
    spectrum: np.ndarray  # (K,) squared singular values
    person_rows: list[np.ndarray]  # one array per number of photos: (people, photos of each), row numbers


def standardise(features: np.ndarray) -> np.ndarray:
    """Return columns (N, D) of mean 0 and deviation 1, scaled to rows of length about 1; constant columns become 0."""
    centred = features.astype(np.float32) - features.mean(axis=0, dtype=np.float64).astype(np.float32)
    deviation = centred.std(axis=0)
    return np.asarray(centred / np.where(deviation > 1e-6, deviation, np.inf) / np.float32(features.shape[1] ** 0.5))


def factorise(features: np.ndarray, persons: np.ndarray) -> RidgeFactors:
    """Factorise features (N, D) float32 after centring their columns. `persons` (N,) are integers."""
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
    person_rows = [
        np.stack([order[s : s + size] for s in starts[counts == size].tolist()]) for size in np.unique(counts).tolist()
    ]
    return RidgeFactors(basis, spectrum, person_rows)


def predict_held_out(factors: RidgeFactors, targets: np.ndarray, penalty: float) -> np.ndarray:
    """Return predictions (N, T) for targets (N, T), each by a ridge fitted without the photos of that person."""
    shrink = (factors.spectrum / (factors.spectrum + penalty)).astype(np.float32)
    mean = targets.mean(axis=0)
    fitted = factors.basis @ (shrink[:, None] * (factors.basis.T @ (targets - mean).astype(np.float32))) + mean
    residual = targets - fitted
    predicted = np.empty_like(residual, dtype=np.float64)
    for rows in factors.person_rows:
        part = factors.basis[rows]  # (people, photos, K)
        hat = np.einsum("pik,k,pjk->pij", part, shrink, part, optimize=True) + 1 / len(targets)
        left = np.eye(rows.shape[1]) - hat
        predicted[rows] = targets[rows] - np.linalg.solve(left.astype(np.float64), residual[rows])
    return predicted


def select_penalty(factors: RidgeFactors, targets: np.ndarray) -> float:
    """Return the penalty of PENALTIES with the least absolute held-out error, which outliers dominate less."""
    losses = [np.abs(predict_held_out(factors, targets, penalty) - targets).sum() for penalty in PENALTIES]
    return PENALTIES[int(np.argmin(losses))]
