"""Samplers of training rows. Validation is never sampled: every row once, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.utils.data import Sampler, WeightedRandomSampler

from data_manifests.errors import ConfigError, must_be_one_of
from data_manifests.taxonomy import N_AGE_CLASSES, split_class_id
from train.settings import TrainSettings

Draw = tuple[int, int]  # seed of the augmentation, position of the row
Grouping = Callable[[np.ndarray, np.ndarray], np.ndarray]  # classes (N,), persons (N,) → group of each row (N,)
_NO_GROUP = -1  # the row comes once

# name → groups; N rows are drawn with replacement, so that all groups are equally frequent
BALANCED_DRAWS: dict[str, Grouping] = {
    "class": lambda class_id, person: class_id,
    "age_class": lambda class_id, person: _age(class_id),
    "person": lambda class_id, person: np.unique(person, return_inverse=True)[1],
}

# name → groups; every row once, and rows again until each group is as large as the largest, or for `copy_old` until
# the oldest age class is as large as the larger of the two younger ones
OVERSAMPLED: dict[str, Grouping] = {
    "copy_class": lambda class_id, person: class_id,
    "copy_age_class": lambda class_id, person: _age(class_id),
    "copy_old": lambda class_id, person: np.where(_age(class_id) == N_AGE_CLASSES - 1, N_AGE_CLASSES - 1, _NO_GROUP),
}
SAMPLERS = ("none", *BALANCED_DRAWS, *OVERSAMPLED)


def draw_weights(name: str, class_id: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Return the probability of each row (N,), in inverse proportion to the size of its group."""
    _, group, count = np.unique(BALANCED_DRAWS[name](class_id, person), return_inverse=True, return_counts=True)
    weights = 1.0 / count[group]
    return weights / weights.sum()


def oversample(name: str, class_id: np.ndarray, person: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return positions (M,), M ≥ N: every row, and rows of the smaller groups again, evenly to within one."""
    group = OVERSAMPLED[name](class_id, person)
    largest = max(np.unique(group[group != _NO_GROUP], return_counts=True)[1], default=0)
    if name == "copy_old":
        largest = np.bincount(_age(class_id), minlength=N_AGE_CLASSES)[:-1].max()
    rows = [np.arange(len(class_id))]
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

    def __init__(self, class_id: np.ndarray, person: np.ndarray, settings: TrainSettings) -> None:
        name = settings.data.sampler
        if name not in SAMPLERS:
            raise ConfigError(must_be_one_of("data.sampler", SAMPLERS, name))
        self.rows = np.arange(len(class_id))
        if name in OVERSAMPLED:
            self.rows = oversample(name, class_id, person, np.random.default_rng(settings.seed))
        weights = (
            draw_weights(name, class_id, person)
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


def _age(class_id: np.ndarray) -> np.ndarray:
    return split_class_id(class_id)[2]
