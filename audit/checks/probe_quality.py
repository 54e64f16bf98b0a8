"""How far to trust the scores: what the probes that they rest on get right, on people they have not seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import f1_score

from audit.checks.age import AgeScores
from data_manifests.taxonomy import AgeCuts


def gender_probe(photo: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Photo probabilities (U, 2) against labels (U,) as filed, -1 unknown."""
    known = labels >= 0
    return {
        "people": int(known.sum()),
        "accuracy": round(float((photo[known].argmax(axis=1) == labels[known]).mean()), 4),
    }


def age_probe(scores: AgeScores, ages: np.ndarray, cuts: AgeCuts) -> dict[str, Any]:
    """The probe's ages against the filed ones: mean absolute error in years and macro F1 of the three classes."""
    known = np.isfinite(ages)
    edges = [cuts.middle, cuts.old]
    filed, seen = np.digitize(ages[known], edges), scores.class_probabilities[known].argmax(axis=1)
    return {
        "people": int(known.sum()),
        "mean_absolute_error_years": round(float(np.abs(scores.looks_years[known] - ages[known]).mean()), 2),
        "class_macro_f1": round(float(f1_score(filed, seen, average="macro")), 4),
    }


def mask_probe(photo: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Photo probabilities (P, 3), NaN where not judged, against labels (P,) as filed, -1 unknown."""
    known = (labels >= 0) & np.isfinite(photo).any(axis=1)
    if not known.any():
        return {"photos": 0}
    guess = np.nan_to_num(photo[known], nan=-1.0).argmax(axis=1)
    return {"photos": int(known.sum()), "accuracy": round(float((guess == labels[known]).mean()), 4)}
