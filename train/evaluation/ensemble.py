"""Several networks as one: their predictions joined by sample, then put to a vote.

soft       the mean of the probabilities
weighted   the same with weights, those given or each member's macro F1 on its own validation
product    the mean of their logarithms: also puts networks for one task each together into 18 classes
hard       the class named most often; of a tie, the one of larger mean probability
hard_best  the class named most often; of a tie, the one that the best member among those who tie has named

By task, mask, gender and age are voted on one by one, each by the members that can tell it, and the three answers make
the class: so several networks for one task each vote first and are put together after.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from data_manifests.errors import ConfigError, StageError, must_be_one_of
from data_manifests.taxonomy import N_CLASSES, split_class_id
from train.evaluation.metrics import TASKS
from train.evaluation.predict import PROBABILITIES


@dataclass(frozen=True)
class Member:
    """A network's predictions. `table` is indexed by sample and has `predicted`, mostly PROBABILITIES, and what is
    known of the samples: `ImageID`, `target` (-1: unknown), `person_id`. `scores` are its own on validation, such as
    `f1`, `mask_f1`; empty where there are none.
    """

    name: str
    table: pd.DataFrame
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def has_probabilities(self) -> bool:
        return PROBABILITIES[0] in self.table

    def probabilities(self) -> np.ndarray:
        """(N, 18); of a member that only has answers, 1 for its answer."""
        if self.has_probabilities:
            return self.table[PROBABILITIES].to_numpy(np.float64)
        return np.eye(N_CLASSES)[self.table["predicted"].to_numpy(np.int64)]


def _soft(probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return probability.mean(0)


def _weighted(probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.average(probability, axis=0, weights=weights)


def _product(probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    merit = np.exp(np.log(np.maximum(probability, 1e-12)).mean(0))
    return merit / merit.sum(-1, keepdims=True)


def _hard(probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return _votes(probability) + probability.mean(0) / 2  # at most half a vote


def _hard_best(probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    rank = np.argsort(np.argsort(-weights, kind="stable"))  # 0 is the best; of equal ones the first
    first = np.where(_named(probability), rank[:, None, None], len(weights)).min(0)  # (N, 18): best that named it
    return _votes(probability) - first / (2 * len(weights))


# name → (probabilities (M, N, 18), weights (M,), the best member being the heaviest) → merit (N, 18)
WAYS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "soft": _soft,
    "weighted": _weighted,
    "product": _product,
    "hard": _hard,
    "hard_best": _hard_best,
}
_PARTS = dict(zip(TASKS[1:], split_class_id(np.arange(N_CLASSES)), strict=True))  # task → its value in each class (18,)
PROBABLE = ("soft", "weighted", "product")  # ways whose merit is again a probability


def vote(how: str, probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Merit (N, 18) of each class, the highest being the answer, from probabilities (M, N, 18) and weights (M,)."""
    if how not in WAYS:
        raise ConfigError(must_be_one_of("--how", WAYS, how))
    return WAYS[how](probability, weights)


def vote_by_task(how: str, probability: np.ndarray, weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """As `vote`, but task by task; `weights` (M,) by task. Raises StageError for a task that no member tells."""
    merit = np.ones((probability.shape[1], N_CLASSES)) if how in PROBABLE else np.zeros(())
    for task, part in _PARTS.items():
        shares = probability @ (part[:, None] == np.arange(part.max() + 1))  # (M, N, values of the task)
        tells = np.ptp(shares, axis=-1).max(axis=-1) > 1e-6  # who gives all values equal shares knows another task
        if not tells.any():
            raise StageError(
                f"no member tells {task}: a vote by task needs one at least for each of mask, gender, age."
            )
        said = vote(how, shares[tells], weights[task][tells])[:, part]
        merit = merit * said if how in PROBABLE else merit + said
    return merit


def weights_of(members: Sequence[Member], given: Sequence[float], how: str, score: str = "f1") -> np.ndarray:
    """Weights (M,): those given, or that score of the members. Raises ConfigError where the way needs what there is
    not.
    """
    if given:
        if len(given) != len(members) or min(given) < 0 or sum(given) == 0:
            raise ConfigError(f"--weights takes one number ≥ 0 for each of {len(members)} members. Got {list(given)}.")
        return np.array(given, float)
    scores = [member.scores.get(score) for member in members]
    if how in ("weighted", "hard_best") and None in scores:
        lacking = next(member.name for member in members if score not in member.scores)
        raise ConfigError(f"{lacking} has no validation score, which --how {how} goes by. Give --weights.")
    return np.array([score or 1.0 for score in scores], float)


def join(members: Sequence[Member], common: bool = False) -> list[Member]:
    """The members with the same samples in the same order.

    Raises StageError when some lack samples that others have, unless `common` asks for those that all have; and when
    none is common.
    """
    for member in members:
        if not member.table.index.is_unique:
            raise StageError(f"{member.name} has two predictions of {_first(member.table.index.duplicated(), member)}.")
    everything = members[0].table.index
    shared = members[0].table.index
    for member in members[1:]:
        everything = everything.union(member.table.index)
        shared = shared[shared.isin(member.table.index)]
    if len(shared) == 0:
        raise StageError(
            f"{members[0].name} and {members[-1].name} have no picture in common. Folds and runs of different "
            "manifests are judged by different people: give --on REF, a manifest or folder that all of them predict."
        )
    if len(shared) < len(everything) and not common:
        lacks = {member.name: len(everything.difference(member.table.index)) for member in members}
        counts = ", ".join(f"{name} lacks {count}" for name, count in lacks.items() if count)
        raise StageError(
            f"not all have the same {len(everything)} pictures: {counts}. --common votes over the {len(shared)} that "
            "all have."
        )
    return [replace(member, table=member.table.loc[shared]) for member in members]


def _votes(probability: np.ndarray) -> np.ndarray:
    """How many members name each class, (N, 18)."""
    return _named(probability).sum(0)


def _named(probability: np.ndarray) -> np.ndarray:
    """Whether a member names a value, (M, N, values)."""
    return np.arange(probability.shape[-1]) == probability.argmax(-1)[..., None]


def _first(mask: np.ndarray, member: Member) -> str:
    return repr(member.table.index[mask][0])
