"""Scores of labels that belong to a whole profile, shared by the gender and the age check."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from audit.checks.data import AuditData
from audit.checks.issues import Issue, label_reason
from audit.scoring import SUSPECT

MIN_PEOPLE = 20  # with a label; a probe fitted on fewer people is not reliable


@dataclass(frozen=True)
class LabelScores:
    """Scores of one label of U groups.

    `given` is the commonest label of the group, `p_correct` the probability that it is correct (NaN: not evaluated),
    `predicted` the label that the faces suggest (None: not evaluated). `inconsistent` marks groups whose photos have
    several labels, so that at least one is wrong.
    """

    p_correct: np.ndarray
    predicted: np.ndarray
    given: np.ndarray
    inconsistent: np.ndarray


def not_evaluated(given: np.ndarray, inconsistent: np.ndarray) -> LabelScores:
    """Return scores without a prediction."""
    return LabelScores(np.full(len(given), np.nan), np.full(len(given), None, object), given, inconsistent)


def label_columns(field: str, data: AuditData) -> dict[str, np.ndarray]:
    """Return the columns `FIELD_label_score` and `suggested_FIELD` (P,) of the photos."""
    score, suggested = photo_scores(data.groups.group_of_photo, data.scores[field], data.rows[field])
    return {f"{field}_label_score": score, f"suggested_{field}": suggested}


def photo_scores(groups: np.ndarray, scores: LabelScores, labels: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return scores (P,) and suggestions (P,) of photos from those of their groups; NaN and None without a face.

    In an inconsistent group the odds of the commonest label are multiplied by its majority among the photos; another
    label is correct only if the commonest is wrong. Without a majority all labels score one half.
    """
    none = np.array([None], object)
    score = np.concatenate([scores.p_correct, [np.nan]])[groups]
    suggested = np.concatenate([scores.predicted, none])[groups]
    common = np.concatenate([scores.given, none])[groups]
    inconsistent = np.concatenate([scores.inconsistent, [False]])[groups]
    labelled = labels.notna().to_numpy()
    deviates = inconsistent & labelled & (labels.to_numpy(object) != common)
    votes, others = (
        pd.Series(mask).groupby(groups).transform("sum").to_numpy() for mask in (labelled & ~deviates, deviates)
    )
    votes = np.where(others > 0, votes, 1)
    score = score * votes / (score * votes + (1 - score) * np.maximum(others, 1))
    score[deviates] = 1 - score[deviates]
    score[inconsistent & ((others >= votes) & (others > 0) | np.isnan(score))] = SUSPECT
    suggested[deviates] = common[deviates]
    suggested[~(score < SUSPECT)] = None
    return score, suggested


def label_issues(field: str, data: AuditData) -> Iterator[Issue]:
    """Yield one issue per group whose label may be wrong, about all of its photos."""
    scores: LabelScores = data.scores[field]
    members = pd.Series(np.arange(len(data.rows))).groupby(data.groups.group_of_photo).agg(list)
    for group in np.flatnonzero((scores.p_correct < 1) | scores.inconsistent).tolist():
        positions, given, predicted = members[group], scores.given[group], scores.predicted[group]
        given = int(given) if isinstance(given, float) else given
        if scores.inconsistent[group]:
            values = sorted({_shown(value) for value in data.rows[field].iloc[positions].dropna()})
            reason, probability = f"inconsistent within the profile ({', '.join(values)})", 1.0
        else:
            reason, probability = label_reason(given, predicted), float(1 - scores.p_correct[group])
        predicted = None if predicted == given else predicted
        yield Issue(positions, probability, reason, given, predicted)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
