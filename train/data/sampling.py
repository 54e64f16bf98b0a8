"""How often a training row is drawn. Validation is never sampled: every row once, in order."""

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
_ALONE = -1  # in no group: the row comes once

# name → groups; as many rows as there are, drawn with replacement so that groups come equally often
DRAWN: dict[str, Grouping] = {
    "class": lambda class_id, person: class_id,
    "age_class": lambda class_id, person: _age(class_id),
    "person": lambda class_id, person: np.unique(person, return_inverse=True)[1],
}

# name → groups; every row comes, and rows come again until each group has as many as the largest, or for `copy_old`
# until the old are as many as the larger of the two younger age classes
COPIED: dict[str, Grouping] = {
    "copy_class": lambda class_id, person: class_id,
    "copy_age_class": lambda class_id, person: _age(class_id),
    "copy_old": lambda class_id, person: np.where(_age(class_id) == N_AGE_CLASSES - 1, N_AGE_CLASSES - 1, _ALONE),
}
SAMPLERS = ("none", *DRAWN, *COPIED)


def draw_weights(name: str, class_id: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Probability of each row (N,), summing to 1: the inverse of its group's size."""
    _, group, count = np.unique(DRAWN[name](class_id, person), return_inverse=True, return_counts=True)
    weights = 1.0 / count[group]
    return weights / weights.sum()


def copies(name: str, class_id: np.ndarray, person: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Positions (M,), M ≥ N: every row, and rows of the smaller groups again, each as often as the next within one."""
    group = COPIED[name](class_id, person)
    largest = max(np.unique(group[group != _ALONE], return_counts=True)[1], default=0)
    if name == "copy_old":
        largest = np.bincount(_age(class_id), minlength=N_AGE_CLASSES)[:-1].max()
    rows = [np.arange(len(class_id))]
    for value in np.unique(group[group != _ALONE]):
        members = np.flatnonzero(group == value)
        times, rest = divmod(max(0, largest - len(members)), len(members))
        rows += [np.tile(members, times), rng.choice(members, rest, replace=False)]
    return np.concatenate(rows)


class EpochSampler(Sampler[Draw]):
    """Draws for one epoch after another.

    The order and the seed of every draw follow from (seed, epoch) alone: a resumed run, and one with other loader
    processes, sees the same pictures varied in the same way. Raises ConfigError for an unknown `data.sampler`.
    """

    def __init__(self, class_id: np.ndarray, person: np.ndarray, settings: TrainSettings) -> None:
        name = settings.data.sampler
        if name not in SAMPLERS:
            raise ConfigError(must_be_one_of("data.sampler", SAMPLERS, name))
        self.rows = np.arange(len(class_id))
        if name in COPIED:
            self.rows = copies(name, class_id, person, np.random.default_rng(settings.seed))
        weights = draw_weights(name, class_id, person) if name in DRAWN else np.full(len(self.rows), 1 / len(self.rows))
        self.generator = torch.Generator()
        # without weights every row comes once an epoch; with them rows are drawn with replacement
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
    """One seed for all that is random in an epoch, 63 bits."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _age(class_id: np.ndarray) -> np.ndarray:
    return split_class_id(class_id)[2]
