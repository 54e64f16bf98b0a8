"""Is a mask worn as filed? One photo by the lower face; then the shots of a profile together, because the usual mistake
is not a wrong word but two photos in each other's place.

For a profile there are these stories: all is as filed; one photo is filed wrongly; two photos whose labels differ
stand in each other's place. Each has a weight before looking and a likelihood from the photos; a photo's score is the
weight of the stories in which its label is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from audit.scoring import best_penalty, held_out, join, make_probe, posterior
from data_manifests.taxonomy import MASKS

SWAP_RATE = 0.01  # profiles with two photos in each other's place, before looking
LEAST = 5  # photos of a state, below which nothing can be learned about it


@dataclass(frozen=True)
class MaskScores:
    """Per photo (P,): probability that its state is right (NaN where it cannot be told), and the likeliest state (index
    in MASKS, -1 unknown). `swaps`: (place, place, probability) of photos in each other's place."""

    right: np.ndarray
    looks: np.ndarray
    photo: np.ndarray
    swaps: list[tuple[int, int, float]]
    error_rate: float
    notes: list[str]


def score_masks(
    views: Sequence[np.ndarray], persons: np.ndarray, profiles: np.ndarray, labels: np.ndarray
) -> MaskScores:
    """Views (P, …) of the photos, the first of the lower face, NaN without one; persons and profiles (P,) integers;
    labels (P,) index in MASKS or -1."""
    lower_face = views[0]
    right, looks = np.full(len(labels), np.nan), np.full(len(labels), -1)
    photo = np.full((len(labels), len(MASKS)), np.nan)
    seen = np.isfinite(lower_face[:, 0]) if lower_face.shape[1] else np.zeros(len(labels), bool)
    counts = np.bincount(labels[seen & (labels >= 0)], minlength=len(MASKS))
    states = [state for state in range(len(MASKS)) if counts[state] >= LEAST]
    few = [f"mask '{MASKS[k]}' has {n} photos, too few to judge" for k, n in enumerate(counts) if 0 < n < LEAST]
    if len(states) < 2 or len(np.unique(persons[seen])) < 3:
        return MaskScores(right, looks, photo, [], 0.0, [*few, "mask states cannot be judged: only one is there"])
    used = np.flatnonzero(seen & np.isin(labels, [*states, -1]))
    local = np.full(len(MASKS) + 1, -1)
    local[states] = range(len(states))
    filed = local[labels[used]]
    targets = np.where(filed[:, None] >= 0, np.eye(len(states))[filed], 1 / len(states))
    probe = make_probe(join(*(view[used] for view in views)), persons[used])
    outputs = held_out(probe, targets, best_penalty(probe, targets))
    found = posterior(outputs, filed, len(states))
    share = np.bincount(filed[filed >= 0], minlength=len(states)) / (filed >= 0).sum()
    evidence = np.log(found.photo) - np.log(share)  # of the face alone: a rare state is not a suspect for being rare
    known = filed >= 0
    right[used[known]], swaps = _stories(evidence[known], filed[known], profiles[used[known]], found.error_rate)
    looks[used] = np.array(states)[found.photo.argmax(axis=1)]
    photo[used[:, None], states] = found.photo
    places = used[known]
    return MaskScores(
        right, looks, photo, [(int(places[i]), int(places[j]), p) for i, j, p in swaps], found.error_rate, few
    )


def _stories(
    evidence: np.ndarray, labels: np.ndarray, profiles: np.ndarray, rate: float
) -> tuple[np.ndarray, list[tuple[int, int, float]]]:
    """Log evidence (N, K) → probability that each label is right (N,), and the likely swaps."""
    n_states = evidence.shape[1]
    right, swaps = np.ones(len(labels)), []
    own = evidence[np.arange(len(labels)), labels]
    order = np.argsort(profiles, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(profiles[order])) + 1):
        single = evidence[members] - own[members, None] + np.log(rate / (n_states - 1))
        single[np.arange(len(members)), labels[members]] = -np.inf
        pairs = [(i, j) for i, j in combinations(range(len(members)), 2) if labels[members[i]] != labels[members[j]]]
        swapped = [
            np.log(SWAP_RATE / len(pairs))
            + evidence[members[i], labels[members[j]]]
            + evidence[members[j], labels[members[i]]]
            - own[members[i]]
            - own[members[j]]
            for i, j in pairs
        ]
        weights = np.exp(np.clip(np.concatenate([[0.0], single.ravel(), swapped]), -50, 50))
        weights /= weights.sum()
        wrong = weights[1 : 1 + single.size].reshape(single.shape).sum(axis=1)
        for (i, j), weight in zip(pairs, weights[1 + single.size :].tolist(), strict=True):
            wrong[[i, j]] += weight
            if weight > 0.2:
                swaps.append((int(members[i]), int(members[j]), weight))
        alone = np.exp(np.clip(single, -50, 50)).sum(axis=1)  # two mistakes in one profile hide each other above
        right[members] = 1 - np.maximum(wrong, alone / (1 + alone))
    return right, swaps
