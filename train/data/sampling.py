"""Samplers of training rows. Validation is never sampled: every row once, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.utils.data import Sampler, WeightedRandomSampler

from data_manifests.errors import ConfigError, must_be_one_of
from data_manifests.labels import N_LABELS, TASKS, UNKNOWN
from train.settings import TrainSettings

Draw = tuple[int, int]  # seed of the augmentation, position of the row
# labels of mask, gender and age (N, 3), persons (N,) → group of each row (N,)
Grouping = Callable[[np.ndarray, np.ndarray], np.ndarray]
_NO_GROUP = UNKNOWN  # the row comes once
_OLD = N_LABELS["age"] - 1

# name → groups; N rows are drawn with replacement, so that all groups are equally frequent
BALANCED_DRAWS: dict[str, Grouping] = {
    "class": lambda labels, person: _combination(labels),
    "age_class": lambda labels, person: _age(labels),
    "person": lambda labels, person: np.unique(person, return_inverse=True)[1],
}

# name → groups; every row once, and rows again until each group is as large as the largest, or for `copy_old` until
# the oldest age class is as large as the larger of the two younger ones
OVERSAMPLED: dict[str, Grouping] = {
    "copy_class": lambda labels, person: _combination(labels),
    "copy_age_class": lambda labels, person: _age(labels),
    "copy_old": lambda labels, person: np.where(_age(labels) == _OLD, _OLD, _NO_GROUP),
}
SAMPLERS = ("none", *BALANCED_DRAWS, *OVERSAMPLED)


def draw_weights(name: str, labels: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Return the probability of each row (N,), in inverse proportion to the size of its group.

    Rows without a group keep their share of the draws.
    """
    group = BALANCED_DRAWS[name](labels, person)
    grouped = group != _NO_GROUP
    _, index, count = np.unique(group[grouped], return_inverse=True, return_counts=True)
    weights = np.ones(len(group))
    weights[grouped] = 1.0 / count[index]
    if grouped.any():
        weights[~grouped] = weights[grouped].mean()
    return weights / weights.sum()


def oversample(name: str, labels: np.ndarray, person: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return positions (M,), M ≥ N: every row, and rows of the smaller groups again, evenly to within one."""
    group = OVERSAMPLED[name](labels, person)
    largest = max(np.unique(group[group != _NO_GROUP], return_counts=True)[1], default=0)
    if name == "copy_old":
        ages = _age(labels)
        largest = np.bincount(ages[ages != UNKNOWN], minlength=N_LABELS["age"])[:_OLD].max()
    rows = [np.arange(len(labels))]
    for value in np.unique(group[group != _NO_GROUP]):
        members = np.flatnonzero(group == value)
        times, rest = divmod(max(0, largest - len(members)), len(members))
        rows += [np.tile(members, times), rng.choice(members, rest, replace=False)]
    return np.concatenate(rows)


class EpochSampler(Sampler[Draw]):
    """A sampler of draws (seed, row) for the epoch set in `epoch`.

    Order and seeds depend on (seed, epoch) alone: a resumed run, and one with another number of loader processes, gets
    the same pictures with the same augmentation. Raises ConfigError for an unknown `data.sampler`.
    """

    def __init__(self, labels: np.ndarray, person: np.ndarray, settings: TrainSettings) -> None:
        name = settings.data.sampler
        if name not in SAMPLERS:
            raise ConfigError(must_be_one_of("data.sampler", SAMPLERS, name))
        self.rows = np.arange(len(labels))
        if name in OVERSAMPLED:
            self.rows = oversample(name, labels, person, np.random.default_rng(settings.seed))
        weights = (
            draw_weights(name, labels, person)
            if name in BALANCED_DRAWS
            else np.full(len(self.rows), 1 / len(self.rows))
        )
        self.generator = torch.Generator()
        # with equal weights every row comes once per epoch; otherwise rows are drawn with replacement
        self.sampler = WeightedRandomSampler(weights.tolist(), len(self.rows), bool(np.ptp(weights)), self.generator)
        self.seed, self.epoch = settings.seed, 0

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Draw]:
        self.generator.manual_seed(epoch_seed(self.seed, self.epoch))
        rows = self.rows[list(self.sampler)]
        seeds = torch.randint(2**62, (len(rows),), generator=self.generator)
        return zip(seeds.tolist(), rows.tolist(), strict=True)


def epoch_seed(seed: int, epoch: int) -> int:
    """Return the random seed of an epoch, 63 bits."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _age(labels: np.ndarray) -> np.ndarray:
    return labels[:, TASKS.index("age")]


def _combination(labels: np.ndarray) -> np.ndarray:
    """Return a number (N,) for each combination of known labels: those of rows with all labels in order of class."""
    sizes = [N_LABELS[task] + 1 for task in TASKS]  # an unknown label is one more value
    return np.ravel_multi_index(tuple((labels - UNKNOWN).T), sizes)
