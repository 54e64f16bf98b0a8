"""From a probe's held-out outputs and the labels as filed to the probability that a label is right.

Model: the true class y follows softmax(a · output + b); the filed label is y with probability 1 - e and another class
otherwise. Outputs were fitted to labels some of which are wrong, so slope, classes and error rate are found together
by expectation maximisation (Raykar et al. 2010, "Learning from Crowds", with one annotator). It starts from the error
rate that confident learning estimates (Northcutt et al. 2021; cleanlab), and is kept near 2 % by a weak prior, because
a small set cannot tell its rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

PRIOR_RATE, PRIOR_WEIGHT = 0.02, 50.0  # as if 50 labels had been checked before and one of them was wrong
ROUNDS = 8
SUSPECT = 0.5  # below this a label is more likely wrong than right, and something else is suggested
_SURE = 1e-4  # no photo makes a probe surer than this


@dataclass(frozen=True)
class Posterior:
    """`classes` (N, K): which class it is, label and photo taken together; `photo` (N, K): the photo alone."""

    classes: np.ndarray
    photo: np.ndarray
    error_rate: float


def posterior(outputs: np.ndarray, labels: np.ndarray, n_classes: int) -> Posterior:
    """Held-out outputs and labels (N,) in 0 … K-1, -1 where there is none → Posterior.

    Outputs are (N, K), the largest for the likeliest class, or (N, 1) for two classes, above 0 for the second.
    """
    known = labels >= 0
    scale = outputs[known].std(axis=0)
    features = (outputs - outputs[known].mean(axis=0)) / np.where(scale > 0, scale, 1)
    belief = np.eye(n_classes)[labels[known]]
    photo = _calibrate(features[known], belief, features)
    rate = max(confident_error_rate(labels[known], photo[known]), PRIOR_RATE)
    guess = outputs[known, 0] > 0 if outputs.shape[1] == 1 else outputs[known].argmax(axis=1)
    agrees = (
        guess == labels[known]
    )  # a few wrong labels blunt the slope so much that it cannot tell them: first without
    if len(np.unique(labels[known][agrees])) == n_classes:
        photo = _calibrate(features[known], belief * agrees[:, None], features)
    for _ in range(ROUNDS):
        belief = _bayes(photo[known], labels[known], rate)
        wrong = 1 - belief[np.arange(len(belief)), labels[known]]
        rate = (float(wrong.sum()) + PRIOR_RATE * PRIOR_WEIGHT) / (len(wrong) + PRIOR_WEIGHT)
        photo = _calibrate(features[known], belief, features)
    classes = photo.copy()
    classes[known] = _bayes(photo[known], labels[known], rate)
    return Posterior(classes, photo, rate)


def _calibrate(features: np.ndarray, belief: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Logistic regression on soft labels: every photo stands once per class, weighted by the belief in it."""
    n, k = belief.shape
    repeated = np.repeat(features, k, axis=0)
    target = np.tile(np.arange(k), n)
    weight = belief.ravel()
    used = weight > 1e-6
    model = LogisticRegression(C=100.0, max_iter=300).fit(repeated[used], target[used], sample_weight=weight[used])
    found = np.full((len(at), k), _SURE)
    found[:, model.classes_] = model.predict_proba(at)
    found = np.clip(found, _SURE, 1 - _SURE)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def _bayes(photo: np.ndarray, labels: np.ndarray, rate: float) -> np.ndarray:
    k = photo.shape[1]
    filed = np.full_like(photo, rate / (k - 1))
    filed[np.arange(len(labels)), labels] = 1 - rate
    joint = photo * filed
    return np.asarray(joint / joint.sum(axis=1, keepdims=True))


def confident_error_rate(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Share of labels that confident learning takes for wrong: the off-diagonal mass of cleanlab's confident joint."""
    from cleanlab.count import compute_confident_joint

    joint = compute_confident_joint(labels, probabilities, calibrate=True)
    rate = 1 - np.trace(joint) / joint.sum()
    return float(np.clip(rate, 0.001, 0.3))
