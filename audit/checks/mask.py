"""Mask check: the mask state of each photo, and shots of a profile that were swapped.

The usual mistake is not a wrong label but two photos that took each other's shot name. For each profile these
hypotheses are compared: all labels are correct; one photo has a wrong label; two photos with different labels are
swapped. Each has a prior probability and a likelihood from the photos; a label's score is the total probability of the
hypotheses under which it is correct.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from audit.checks.data import AuditData
from audit.checks.issues import STATE_TEXT, Issue, label_reason
from audit.scoring import (
    SUSPECT,
    estimate_posterior,
    factorise,
    join_standardised,
    photo_name,
    predict_held_out,
    select_penalty,
)
from data_manifests.taxonomy import MASKS

SWAP_RATE = 0.01  # prior share of profiles with two swapped photos
MIN_PHOTOS = 5  # of a state; a probe cannot learn a state from fewer
MIN_SWAP_PROBABILITY = 0.2  # below this a swap is not listed
MIN_PROBABILITY = 0.001  # below this an issue is left out


@dataclass(frozen=True)
class MaskScores:
    """Scores of the mask states of P photos.

    `p_correct` (P,) is NaN where a photo is not evaluated, `predicted` (P,) an index in MASKS or -1, `probabilities`
    (P, 3) those of the photo alone. `swaps` are (position, position, probability) of swapped photos, `lack` is
    what is missing where no photo is evaluated.
    """

    p_correct: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray
    swaps: list[tuple[int, int, float]]
    error_rate: float
    notes: list[str]
    lack: str = ""


def score(data: AuditData) -> MaskScores:
    """Return the scores of the photos; adds the probe quality and notes."""
    persons, profiles = (pd.factorize(data.rows[name])[0] for name in ("person_id", "profile_id"))
    labels = given_states(data)
    views = [data.features.lower_face, *([data.predictions.mask] if data.predictions else [])]
    scores = score_masks(views, persons, profiles, labels)
    if np.isfinite(scores.p_correct).any():
        quality = _probe_quality(scores.probabilities, labels)
        data.probes["mask"] = quality | {"estimated_error_rate": round(scores.error_rate, 4)}
    if scores.lack:
        data.skip("mask", scores.lack)
    data.notes.extend(scores.notes)
    return scores


def given_states(data: AuditData) -> np.ndarray:
    """Return the labels (P,) as indices in MASKS, -1 without one."""
    return pd.Categorical(data.rows["mask"], MASKS).codes.astype(int)


def score_masks(
    views: Sequence[np.ndarray], persons: np.ndarray, profiles: np.ndarray, labels: np.ndarray
) -> MaskScores:
    """Score labels (P,), an index in MASKS or -1.

    Views (P, …) are vectors of the photos, the first of the lower face, NaN without one; persons and profiles (P,) are
    integers.
    """
    lower_face = views[0]
    p_correct, predicted = np.full(len(labels), np.nan), np.full(len(labels), -1)
    probabilities = np.full((len(labels), len(MASKS)), np.nan)
    has_face = np.isfinite(lower_face[:, 0]) if lower_face.shape[1] else np.zeros(len(labels), bool)
    counts = np.bincount(labels[has_face & (labels >= 0)], minlength=len(MASKS))
    states = [state for state in range(len(MASKS)) if counts[state] >= MIN_PHOTOS]
    rare = [state for state in range(len(MASKS)) if 0 < counts[state] < MIN_PHOTOS]
    notes = [f"not checked: mask '{MASKS[s]}' ({counts[s]} photos; it takes {MIN_PHOTOS})" for s in rare]
    if len(states) < 2 or len(np.unique(persons[has_face])) < 3:
        return MaskScores(p_correct, predicted, probabilities, [], 0.0, notes, _lack(states, rare))
    used = np.flatnonzero(has_face & np.isin(labels, [*states, -1]))
    state_index = np.full(len(MASKS) + 1, -1)
    state_index[states] = range(len(states))
    given = state_index[labels[used]]
    known = given >= 0
    targets = np.where(known[:, None], np.eye(len(states))[given], 1 / len(states))
    factors = factorise(join_standardised(*(view[used] for view in views)), persons[used])
    outputs = predict_held_out(factors, targets, select_penalty(factors, targets))
    posterior = estimate_posterior(outputs, given, len(states))
    share = np.bincount(given[known], minlength=len(states)) / known.sum()
    evidence = np.log(posterior.photo_only) - np.log(share)  # without the prior, or every rare state would be suspect
    positions = used[known]
    p_correct[positions], swaps = _compare_hypotheses(
        evidence[known], given[known], profiles[positions], posterior.error_rate
    )
    predicted[used] = np.array(states)[posterior.photo_only.argmax(axis=1)]
    probabilities[used[:, None], states] = posterior.photo_only
    in_rows = [(int(positions[i]), int(positions[j]), probability) for i, j, probability in swaps]
    return MaskScores(p_correct, predicted, probabilities, in_rows, posterior.error_rate, notes)


def _lack(states: Sequence[int], rare: Sequence[int]) -> str:
    """Return what a check of the mask states lacks, from the states with enough photos and those with too few."""
    if len(states) > 1:
        return "a face was found in fewer than 3 people"
    if states and not rare:
        return f"all labels are '{MASKS[states[0]]}'"
    return f"it takes {MIN_PHOTOS} photos with a face of two states"


def _compare_hypotheses(
    evidence: np.ndarray, labels: np.ndarray, profiles: np.ndarray, rate: float
) -> tuple[np.ndarray, list[tuple[int, int, float]]]:
    """Return the probability that each label is correct (N,) and the likely swaps, from log evidence (N, K)."""
    n_states = evidence.shape[1]
    p_correct, swaps = np.ones(len(labels)), []
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
        p_wrong = weights[1 : 1 + single.size].reshape(single.shape).sum(axis=1)
        for (i, j), weight in zip(pairs, weights[1 + single.size :].tolist(), strict=True):
            p_wrong[[i, j]] += weight
            if weight > MIN_SWAP_PROBABILITY:
                swaps.append((int(members[i]), int(members[j]), weight))
        # Two mistakes in one profile share the weight above, so each photo is also compared by itself.
        by_itself = np.exp(np.clip(single, -50, 50)).sum(axis=1)
        p_correct[members] = 1 - np.maximum(p_wrong, by_itself / (1 + by_itself))
    return p_correct, swaps


def _probe_quality(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return the accuracy of probabilities (P, 3), NaN where not evaluated, against labels (P,), -1 unknown."""
    known = (labels >= 0) & np.isfinite(probabilities).any(axis=1)
    if not known.any():
        return {"photos": 0}
    predicted = np.nan_to_num(probabilities[known], nan=-1.0).argmax(axis=1)
    return {"photos": int(known.sum()), "accuracy": round(float((predicted == labels[known]).mean()), 4)}


def columns(data: AuditData) -> dict[str, np.ndarray]:
    """Return `mask_label_score` and `suggested_mask` (P,)."""
    scores: MaskScores = data.scores["mask"]
    suggested = np.array([*MASKS, None], object)[scores.predicted]
    suggested[~(scores.p_correct < SUSPECT)] = None
    return {"mask_label_score": scores.p_correct, "suggested_mask": suggested}


def issues(data: AuditData) -> Iterator[Issue]:
    """Yield each likely swap as one issue about two photos, and other wrong states photo by photo."""
    rows, scores = data.rows, data.scores["mask"]
    swap_probability: dict[int, float] = {}
    for first, second, probability in scores.swaps:
        for position in (first, second):
            swap_probability[position] = swap_probability.get(position, 0.0) + probability
        a, b = (rows.iloc[position] for position in (first, second))
        what = "shots" if isinstance(a["shot"], str) else "labels"
        reason = f"swapped {what}: {photo_name(a)} and {photo_name(b)}"
        yield Issue([first, second], probability, reason, f"{a['mask']} {b['mask']}", f"{b['mask']} {a['mask']}")
    for position in np.flatnonzero(scores.p_correct < 1).tolist():
        probability = float(1 - scores.p_correct[position]) - swap_probability.get(position, 0.0)
        if probability <= MIN_PROBABILITY:
            continue
        row = rows.iloc[position]
        given, predicted = row["mask"], MASKS[scores.predicted[position]]
        reason = f"{photo_name(row)}: {label_reason(STATE_TEXT[given], STATE_TEXT[predicted])}"
        yield Issue([position], probability, reason, given, None if predicted == given else predicted)
