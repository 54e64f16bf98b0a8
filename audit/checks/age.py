"""Age check: the age of a profile, in years, against the prediction of a probe (`audit.scoring.score_ages`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score

from audit.checks.data import AuditData
from audit.checks.issues import Issue, label_reason
from audit.checks.label_scores import MIN_PEOPLE, LabelScores, label_columns, label_issues, not_evaluated
from audit.scoring import AgeScores, majority_labels, score_ages
from data_manifests.taxonomy import MAX_AGE, N_AGE_CLASSES, AgeCuts, age_class_of

YOUNGEST, OLDEST = 15, 80  # years; bound the middle of the first and the last age class


def score(data: AuditData) -> LabelScores:
    """Return the scores of the groups; adds the probe quality, or skips the check if there are too few ages."""
    given, inconsistent = majority_labels(_years(data.rows, data.cuts), data.groups)
    ages = given.astype(float)
    known = np.isfinite(ages)
    n_ages = len(np.unique(ages[known]))
    if known.sum() < MIN_PEOPLE or n_ages < 2:
        found_text = f"{int(known.sum())} people, {n_ages} age{'s' * (n_ages != 1)}"
        data.skip("age", f"{found_text}; it takes {MIN_PEOPLE} people and 2 ages")
        return not_evaluated(given, inconsistent)
    found = score_ages(data.groups.features, data.groups.persons, ages, data.cuts)
    data.probes["age"] = probe_quality(found, ages, data.cuts) | {"estimated_error_rate": round(found.error_rate, 4)}
    predicted = np.clip(np.round(found.predicted_years), 0, MAX_AGE).astype(int).astype(object)
    return LabelScores(found.p_correct, predicted, given, inconsistent)


def _years(rows: pd.DataFrame, cuts: AgeCuts) -> pd.Series:
    """Return ages in years (P,); a photo with an age class alone gets the middle of the class."""
    bounds = [cuts.bounds(age_class) for age_class in range(N_AGE_CLASSES)]
    middles = np.array([max(low, YOUNGEST) / 2 + min(high, OLDEST) / 2 for low, high in bounds])
    age_class = rows["age_class"].to_numpy(float)
    of_class = np.where(np.isnan(age_class), np.nan, middles[np.nan_to_num(age_class).astype(int)])
    return rows["age"].astype(float).fillna(pd.Series(of_class, rows.index))


def probe_quality(scores: AgeScores, ages: np.ndarray, cuts: AgeCuts) -> dict[str, Any]:
    """Return the mean absolute error in years and the macro F1 of the three classes, against ages (U,)."""
    known = np.isfinite(ages)
    given = age_class_of(ages[known], cuts)
    predicted = scores.class_probabilities[known].argmax(axis=1)
    return {
        "people": int(known.sum()),
        "mean_absolute_error_years": round(float(np.abs(scores.predicted_years[known] - ages[known]).mean()), 2),
        "class_macro_f1": round(float(f1_score(given, predicted, average="macro")), 4),
    }


def columns(data: AuditData) -> dict[str, np.ndarray]:
    """Return `age_label_score` and `suggested_age` (P,)."""
    return label_columns("age", data)


def issues(data: AuditData) -> Iterator[Issue]:
    """Yield one issue per profile whose age may be wrong; an age class is shown as such, not as a year."""
    has_class_only = (data.rows["age"].isna() & data.rows["age_class"].notna()).to_numpy()
    for issue in label_issues("age", data):
        if not has_class_only[issue.positions].all():
            yield issue
            continue
        given = data.cuts.names[int(data.rows["age_class"].iloc[issue.positions[0]])]
        years = issue.predicted
        predicted = None if years is None or data.cuts.names[age_class_of(years, data.cuts)] == given else years
        yield replace(issue, given=given, predicted=predicted, reason=label_reason(given, predicted))
