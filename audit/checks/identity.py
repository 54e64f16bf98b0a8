"""Identity check: photos that show another person than their `person_id`.

The margin of a photo is its distance from the person's other photos less its distance from the nearest other person: a
poor photo is far from all people, a photo of another person only from those around it. On rendered people whose masked
photos scatter, ranking by the margin finds such photos with an average precision of 0.88, by the distance alone 0.36.
The spread of margins within one person and between two is estimated from this set, per mask state, so no threshold
comes from other data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from audit.checks.data import AuditData
from audit.checks.issues import Issue
from audit.checks.mask import given_states
from audit.scoring import SUSPECT, photo_name, probability_correct

MIN_PHOTOS = 20  # that share a person with another photo; fewer do not give the usual spread
MAX_OTHER_PEOPLE = 2000  # compared with each photo; a fixed number keeps the work linear
WIDENING = 1.2  # margins have heavier tails than a normal; calibrated on planted photos of other people
MAX_NAMED_DISTANCE = 0.4  # beyond this the nearest other person is not named
MAX_LISTED = 0.999  # a higher probability of the right person is no issue
_BATCH_ROWS = 4096


@dataclass(frozen=True)
class IdentityScores:
    """Scores of P photos.

    `p_correct` (P,) is the probability that a photo shows the person of its `person_id` (NaN for a person with a single
    photo), `distance` (P,) the distance from that person's other photos, `nearest_person` (P,) the code of the nearest
    other person and `nearest_distance` (P,) the distance from it. `lack` is what is missing where no
    photo is evaluated.
    """

    p_correct: np.ndarray
    distance: np.ndarray
    nearest_person: np.ndarray
    nearest_distance: np.ndarray
    error_rate: float
    lack: str = ""


def score(data: AuditData) -> IdentityScores:
    """Return the scores of the photos; skips the check if too few photos share a person."""
    given, mask = given_states(data), data.scores["mask"]
    states = np.where(mask.p_correct < SUSPECT, mask.predicted, given)  # or both photos of a swap would mismatch
    persons = pd.factorize(data.rows["person_id"])[0]
    scores = score_identity(data.features.identity, persons, states, data.rng)
    if scores.lack:
        data.skip("identity", scores.lack)
    return scores


def score_identity(
    vectors: np.ndarray, persons: np.ndarray, states: np.ndarray, rng: np.random.Generator
) -> IdentityScores:
    """Score identity vectors (P, D), NaN without a face; persons and mask states (P,) are integers."""
    n = len(vectors)
    p_correct, own = np.full(n, np.nan), np.full(n, np.nan)
    nearest, gap = np.full(n, -1), np.full(n, np.nan)
    has_face = np.flatnonzero(np.isfinite(vectors[:, 0])) if vectors.shape[1] else np.array([], int)
    centred = _centre_states(vectors, states, has_face)
    order = has_face[np.argsort(persons[has_face], kind="stable")]
    people = [] if not len(order) else np.split(order, np.flatnonzero(np.diff(persons[order])) + 1)
    for members in people:
        if len(members) > 1:
            own[members] = _distance_from_others(centred[members])
    scored = np.flatnonzero(np.isfinite(own))
    if len(scored) < MIN_PHOTOS or len(people) < 3:
        sharing = f"{len(scored)} photos share" if len(scored) else "no photo shares"
        lack = f"{sharing} a person with another; it takes {MIN_PHOTOS} photos of 3 people"
        return IdentityScores(p_correct, own, nearest, gap, 0.0, lack)
    others = [people[i] for i in rng.permutation(len(people))[:MAX_OTHER_PEOPLE]]
    medians = np.stack([np.median(centred[members], axis=0) for members in others])
    codes = np.array([persons[members[0]] for members in others])
    nearest[scored], gap[scored], random_gap = _nearest_person(centred[scored], persons[scored], medians, codes, rng)
    evidence = _evidence(own[scored] - gap[scored], random_gap - gap[scored], states[scored])
    p_correct[scored], rate = probability_correct(evidence)
    return IdentityScores(p_correct, own, nearest, gap, rate)


def _centre_states(vectors: np.ndarray, states: np.ndarray, has_face: np.ndarray) -> np.ndarray:
    """Return the vectors less the mean of their mask state: a mask shifts all faces alike."""
    centred = vectors.copy()
    for state in np.unique(states[has_face]):
        members = has_face[states[has_face] == state]
        centred[members] -= vectors[members].mean(axis=0)
    return centred


def _distance_from_others(vectors: np.ndarray) -> np.ndarray:
    """Return the distance (M,) of each vector from the median of the others, which is robust to one mismatch."""
    found = [np.linalg.norm(vectors[i] - np.median(np.delete(vectors, i, axis=0), axis=0)) for i in range(len(vectors))]
    return np.array(found)


def _nearest_person(
    vectors: np.ndarray, persons: np.ndarray, medians: np.ndarray, codes: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the nearest other person, its distance, and the distance of a random other person; each (N,)."""
    nearest, gap, random_gap = np.empty(len(vectors), int), np.empty(len(vectors)), np.empty(len(vectors))
    squares = (medians**2).sum(axis=1)
    for start in range(0, len(vectors), _BATCH_ROWS):
        part = slice(start, start + _BATCH_ROWS)
        block = vectors[part]
        squared = (block**2).sum(axis=1)[:, None] - 2 * block @ medians.T + squares
        distance = np.sqrt(np.maximum(squared, 0))
        distance[persons[part][:, None] == codes] = np.inf
        nearest[part], gap[part] = codes[distance.argmin(axis=1)], distance.min(axis=1)
        drawn = rng.integers(0, len(codes) - 1, len(block))
        rows = np.arange(len(block))
        drawn = np.where(np.isinf(distance[rows, drawn]), len(codes) - 1, drawn)  # the own person is skipped
        random_gap[part] = distance[rows, drawn]
    return nearest, gap, random_gap


def _evidence(own: np.ndarray, others: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Return the log likelihood ratio of margins (N,): one person against two, both normal about their medians."""
    evidence = np.empty(len(own))
    for state in np.unique(states):
        here = states == state
        near, far = (own, others) if here.sum() < MIN_PHOTOS else (own[here], others[here])
        m0, m1 = float(np.median(near)), float(np.median(far))
        s0, s1 = _spread(near, 90), _spread(far, 10)  # each on the side that faces the other
        m1 = max(m1, m0 + s0)
        margin = np.clip(own[here], m0, m1)  # no data supports the tails of the normals beyond the medians
        evidence[here] = -0.5 * ((margin - m0) / s0) ** 2 - np.log(s0) + 0.5 * ((margin - m1) / s1) ** 2 + np.log(s1)
    return evidence


def _spread(values: np.ndarray, percentile: float) -> float:
    """Return a normal's deviation from its 10th or 90th percentile, which is robust to a few mismatches."""
    return max(WIDENING * abs(float(np.percentile(values, percentile) - np.median(values))) / 1.2816, 1e-3)


def columns(data: AuditData) -> dict[str, np.ndarray]:
    """Return `identity_score` (P,)."""
    return {"identity_score": data.scores["identity"].p_correct}


def issues(data: AuditData) -> Iterator[Issue]:
    """Yield one issue per photo that may show another person."""
    people = pd.factorize(data.rows["person_id"])[1]
    scores: IdentityScores = data.scores["identity"]
    for position in np.flatnonzero(scores.p_correct < MAX_LISTED).tolist():
        row, p_correct = data.rows.iloc[position], float(scores.p_correct[position])
        reason = f"{photo_name(row)}: may show another person (distance {scores.distance[position]:.2f}"
        other = None
        if p_correct < SUSPECT and scores.nearest_distance[position] < MAX_NAMED_DISTANCE:
            other = people[scores.nearest_person[position]]
            reason += f", nearest is {other}"
        yield Issue([position], 1 - p_correct, f"{reason})", row["person_id"], other)
