"""Is this the person whose folder it lies in?

A photo's margin is its distance from the person's other photos less its distance from the nearest other person: a poor
photo is far from everybody, a stranger only from the people around it. On rendered people whose masked photos scatter,
ranking by the margin finds strangers with an average precision of 0.88, by the distance alone 0.36. How margins of one
person and of two are spread is taken from this set itself, per mask state, so no threshold comes from elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.checks.age import right_given

LEAST = 20  # photos that must have a companion; below, nothing can be said of what is usual
MOST_RIVALS = 2000  # other people a photo is compared with; a fixed number keeps the work linear
WIDENING = 1.2  # margins have heavier tails than a normal; with this, probabilities come true on planted strangers
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class IdentityScores:
    """Per photo (P,): probability that it shows the person of its folder (NaN for one who has a single photo), its
    distance from that person's other photos, the nearest other person (code) and how near that is.
    """

    right: np.ndarray
    distance: np.ndarray
    looks_like: np.ndarray
    looks_distance: np.ndarray
    error_rate: float
    note: str = ""


def score_identity(
    vectors: np.ndarray, persons: np.ndarray, states: np.ndarray, rng: np.random.Generator
) -> IdentityScores:
    """Identity vectors (P, D), NaN without a face; persons and mask states (P,) integers."""
    n = len(vectors)
    right, own = np.full(n, np.nan), np.full(n, np.nan)
    rival, gap = np.full(n, -1), np.full(n, np.nan)
    seen = np.flatnonzero(np.isfinite(vectors[:, 0])) if vectors.shape[1] else np.array([], int)
    centred = _centre_states(vectors, states, seen)
    order = seen[np.argsort(persons[seen], kind="stable")]
    folders = [] if not len(order) else np.split(order, np.flatnonzero(np.diff(persons[order])) + 1)
    for members in folders:
        if len(members) > 1:
            own[members] = _from_the_others(centred[members])
    judged = np.flatnonzero(np.isfinite(own))
    if len(judged) < LEAST or len(folders) < 3:
        note = f"strangers cannot be judged: {len(judged)} photos share a person with another one"
        return IdentityScores(right, own, rival, gap, 0.0, note)
    rivals = [folders[i] for i in rng.permutation(len(folders))[:MOST_RIVALS]]
    middles = np.stack([np.median(centred[members], axis=0) for members in rivals])
    codes = np.array([persons[members[0]] for members in rivals])
    rival[judged], gap[judged], anyone = _nearest(centred[judged], persons[judged], middles, codes, rng)
    evidence = _evidence(own[judged] - gap[judged], anyone - gap[judged], states[judged])
    right[judged], rate = right_given(evidence)
    return IdentityScores(right, own, rival, gap, rate)


def _centre_states(vectors: np.ndarray, states: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """A mask moves every face the same way; take that away."""
    centred = vectors.copy()
    for state in np.unique(states[seen]):
        members = seen[states[seen] == state]
        centred[members] -= vectors[members].mean(axis=0)
    return centred


def _from_the_others(vectors: np.ndarray) -> np.ndarray:
    """Distance (M,) of each vector from the median of the others, which one stranger among them does not move."""
    found = [np.linalg.norm(vectors[i] - np.median(np.delete(vectors, i, axis=0), axis=0)) for i in range(len(vectors))]
    return np.array(found)


def _nearest(
    vectors: np.ndarray, persons: np.ndarray, middles: np.ndarray, codes: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nearest other person, its distance, and the distance of a random other person; each (N,)."""
    who, gap, anyone = np.empty(len(vectors), int), np.empty(len(vectors)), np.empty(len(vectors))
    squares = (middles**2).sum(axis=1)
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        block = vectors[part]
        squared = (block**2).sum(axis=1)[:, None] - 2 * block @ middles.T + squares
        distance = np.sqrt(np.maximum(squared, 0))
        distance[persons[part][:, None] == codes] = np.inf
        nearest = distance.argmin(axis=1)
        who[part], gap[part] = codes[nearest], distance.min(axis=1)
        drawn = rng.integers(0, len(codes) - 1, len(block))
        rows = np.arange(len(block))
        drawn = np.where(np.isinf(distance[rows, drawn]), len(codes) - 1, drawn)  # never the person itself
        anyone[part] = distance[rows, drawn]
    return who, gap, anyone


def _evidence(own: np.ndarray, strangers: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Log likelihood of a margin among photos of one person against two, both normal about their medians."""
    evidence = np.empty(len(own))
    for state in np.unique(states):
        here = states == state
        near, far = (own, strangers) if here.sum() < LEAST else (own[here], strangers[here])
        m0, m1 = float(np.median(near)), float(np.median(far))
        s0, s1 = _spread(near, 90), _spread(far, 10)  # each on the side that faces the other
        m1 = max(m1, m0 + s0)
        margin = np.clip(own[here], m0, m1)  # beyond the medians a normal's tails would speak, which nothing supports
        evidence[here] = -0.5 * ((margin - m0) / s0) ** 2 - np.log(s0) + 0.5 * ((margin - m1) / s1) ** 2 + np.log(s1)
    return evidence


def _spread(values: np.ndarray, percentile: float) -> float:
    """A normal's deviation from its 10th or 90th percentile: a few strangers among the values do not move it."""
    return max(WIDENING * abs(float(np.percentile(values, percentile) - np.median(values))) / 1.2816, 1e-3)
