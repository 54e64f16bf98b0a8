"""Quality check: photos without a usable face, or that are blurred, badly exposed, bordered or of an odd size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audit.checks.data import AuditData
from audit.checks.issues import Issue
from audit.features import LIMITS, odd_sizes
from audit.scoring import photo_name

MAX_GREY_SHARE = 0.1  # share of grey pictures up to which a grey picture is remarkable
_SCORE_PROBLEM = {"blur_score": "blurred", "exposure_score": "badly exposed", "face_size_score": "tiny face"}


@dataclass(frozen=True)
class QualityScores:
    """Problems of P photos, as text, and the probability (P,) that each photo is unusable, 0 without a problem."""

    problems: list[tuple[str, ...]]
    probability: np.ndarray


def score(data: AuditData) -> QualityScores:
    """Return the problems of the photos."""
    odd_size = odd_sizes(data.rows["width_px"].to_numpy(), data.rows["height_px"].to_numpy())
    found = [_photo_problems(data, position, bool(odd_size[position])) for position in range(len(data.rows))]
    return QualityScores([problems for problems, _ in found], np.array([probability for _, probability in found]))


def _photo_problems(data: AuditData, position: int, odd_size: bool) -> tuple[tuple[str, ...], float]:
    """Return the problems of one photo and its probability: 0.5 at a limit, rising to 1 (no face)."""
    features = data.features
    if features.faces[position] == 0:
        return ("no face found",), 1.0
    problems, probability = [], 0.5
    for name, limit in LIMITS.items():
        value = float(getattr(features, name)[position])
        if value < limit:
            problems.append(_SCORE_PROBLEM[name])
            probability = max(probability, 1 - value / limit / 2)
    flags = {
        "several faces": features.faces[position] > 1,
        "border": features.border[position],
        "odd size": odd_size,
        "grey": features.grey[position] and features.grey.mean() < MAX_GREY_SHARE,
    }
    problems += [text for text, is_set in flags.items() if is_set]
    return tuple(problems), probability if problems else 0.0


def columns(data: AuditData) -> dict[str, np.ndarray]:
    """Return `blur_score` and `exposure_score` (P,)."""
    return {"blur_score": data.features.blur_score, "exposure_score": data.features.exposure_score}


def issues(data: AuditData) -> Iterator[Issue]:
    """Yield one issue for all photos of a profile with the same problems."""
    scores: QualityScores = data.scores["quality"]
    alike: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for position, problems in enumerate(scores.problems):
        if problems:
            alike.setdefault((str(data.rows["profile_id"].iloc[position]), problems), []).append(position)
    for (_, problems), positions in alike.items():
        names = ", ".join(photo_name(row) for _, row in data.rows.iloc[positions].iterrows())
        yield Issue(positions, float(scores.probability[positions].max()), f"{', '.join(problems)}: {names}")
