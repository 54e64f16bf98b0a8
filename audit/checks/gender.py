"""Gender check: the label of a profile against the prediction of a probe from all of its photos."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from audit.checks.data import AuditData
from audit.checks.issues import Issue
from audit.checks.label_scores import MIN_PEOPLE, LabelScores, label_columns, label_issues, not_evaluated
from audit.scoring import (
    estimate_posterior,
    factorise,
    inconsistent_groups,
    majority_labels,
    predict_held_out,
    select_penalty,
)
from data_manifests.taxonomy import GENDERS

MIN_OF_EACH = 3  # people of each gender


def score(data: AuditData) -> LabelScores:
    """Return the scores of the groups; adds the probe quality, or skips the check if there are too few people."""
    groups = data.groups
    given, _ = majority_labels(data.rows["gender"], groups)
    inconsistent = inconsistent_groups(data.rows["gender"], data.rows["profile_id"], groups)
    labels = pd.Categorical(given, GENDERS).codes.astype(int)
    known = labels >= 0
    counts = np.bincount(labels[known], minlength=2)
    if counts.sum() < MIN_PEOPLE or counts.min() < MIN_OF_EACH:
        found = ", ".join(f"{count} {name}" for name, count in zip(GENDERS, counts.tolist(), strict=True))
        data.skip("gender", f"{found}; it takes {MIN_PEOPLE} people and {MIN_OF_EACH} of each gender")
        return not_evaluated(given, inconsistent)
    factors = factorise(groups.features, groups.persons)
    targets = np.where(known, labels * 2.0 - 1, 0.0)[:, None]
    posterior = estimate_posterior(
        predict_held_out(factors, targets, select_penalty(factors, targets)), labels, len(GENDERS)
    )
    predicted = posterior.photo_only.argmax(axis=1)
    p_correct = np.full(len(labels), np.nan)
    p_correct[known] = posterior.given_label[known, labels[known]]
    data.probes["gender"] = {
        "people": int(known.sum()),
        "accuracy": round(float((predicted[known] == labels[known]).mean()), 4),
        "estimated_error_rate": round(posterior.error_rate, 4),
    }
    return LabelScores(p_correct, np.array(GENDERS, object)[predicted], given, inconsistent)


def columns(data: AuditData) -> dict[str, np.ndarray]:
    """Return `gender_label_score` and `suggested_gender` (P,)."""
    return label_columns("gender", data)


def issues(data: AuditData) -> Iterator[Issue]:
    """Yield one issue per profile whose gender may be wrong."""
    return label_issues("gender", data)
