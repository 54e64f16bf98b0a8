"""Rules that combine the predictions of several networks into one.

soft       the mean of the probabilities
weighted   the same with weights: those given, or each member's macro F1 on its own validation
product    the mean of the log-probabilities; also composes the 18 classes from networks for one task each
hard       the class that most members predict; ties go to the larger mean probability
hard_best  the class that most members predict; ties go to the best member among those tied
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from data_manifests.errors import ConfigError, StageError, must_be_one_of
from data_manifests.taxonomy import N_CLASSES, split_class_id
from train.evaluation.metrics import TASKS


def _soft(probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return probability.mean(0)


def _weighted(probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.average(probability, axis=0, weights=weights)


def _product(probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    merit = np.exp(np.log(np.maximum(probability, 1e-12)).mean(0))
    return merit / merit.sum(-1, keepdims=True)


def _hard(probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return _vote_counts(probability) + probability.mean(0) / 2  # the tie-break is at most half a vote


def _hard_best(probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    rank = np.argsort(np.argsort(-weights, kind="stable"))  # 0 is the best; of equal ones the first
    best = np.where(_is_predicted(probability), rank[:, None, None], len(weights)).min(0)  # (N, 18): best voter's rank
    return _vote_counts(probability) - best / (2 * len(weights))


# name → (probabilities (M, N, 18), weights (M,), higher for better members) → merit (N, 18)
RULES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "soft": _soft,
    "weighted": _weighted,
    "product": _product,
    "hard": _hard,
    "hard_best": _hard_best,
}
PROBABILISTIC = ("soft", "weighted", "product")  # rules whose merit is a probability
_TASK_LABELS = dict(zip(TASKS[1:], split_class_id(np.arange(N_CLASSES)), strict=True))  # task → its label of each class


def vote(rule: str, probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the merit (N, 18) of each class, the highest being the answer.

    `probability` is (M, N, 18) of M members, `weights` (M,). Raises ConfigError for an unknown rule.
    """
    if rule not in RULES:
        raise ConfigError(must_be_one_of("--how", RULES, rule))
    return RULES[rule](probability, weights)


def vote_by_task(rule: str, probability: np.ndarray, weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the merit (N, 18) of each class from separate votes on mask, gender and age.

    Each task is voted on by the members that distinguish its labels; the three results are multiplied, or added for
    hard votes. `weights` (M,) are by task. Raises StageError for a task that no member distinguishes.
    """
    merit = np.ones((probability.shape[1], N_CLASSES)) if rule in PROBABILISTIC else np.zeros(())
    for task, label in _TASK_LABELS.items():
        shares = probability @ (label[:, None] == np.arange(label.max() + 1))  # (M, N, labels of the task)
        # a member trained on another task gives equal shares to all labels
        distinguishes = np.ptp(shares, axis=-1).max(axis=-1) > 1e-6
        if not distinguishes.any():
            raise StageError(
                f"no member predicts {task}. A vote by task needs at least one member for each of mask, gender, age."
            )
        of_class = vote(rule, shares[distinguishes], weights[task][distinguishes])[:, label]
        merit = merit * of_class if rule in PROBABILISTIC else merit + of_class
    return merit


def _vote_counts(probability: np.ndarray) -> np.ndarray:
    """Return the number of members that predict each class, (N, 18)."""
    return _is_predicted(probability).sum(0)


def _is_predicted(probability: np.ndarray) -> np.ndarray:
    """Return True for the label that a member predicts, (M, N, labels)."""
    return np.arange(probability.shape[-1]) == probability.argmax(-1)[..., None]
