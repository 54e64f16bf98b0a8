"""How often a training row is drawn. Validation is never sampled: every row once, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.utils.data import Sampler, WeightedRandomSampler

from data_manifests.errors import ConfigError, must_be_one_of
from data_manifests.taxonomy import split_class_id
from train.config import TrainSettings

# name → the group of each row, from its class (N,); rows are drawn so that groups come equally often
SAMPLERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda class_id: np.zeros_like(class_id),
    "class": lambda class_id: class_id,
    "age_class": lambda class_id: split_class_id(class_id)[2],
}

Draw = tuple[int, int]  # seed of the augmentation, position of the row


def draw_weights(name: str, class_id: np.ndarray) -> np.ndarray:
    """Probability of each row (N,), summing to 1: the inverse of its group's size. Raises ConfigError."""
    if name not in SAMPLERS:
        raise ConfigError(must_be_one_of("data.sampler", SAMPLERS, name))
    _, group, count = np.unique(SAMPLERS[name](class_id), return_inverse=True, return_counts=True)
    weights = 1.0 / count[group]
    return weights / weights.sum()


class EpochSampler(Sampler[Draw]):
    """Draws for one epoch after another.

    The order and the seed of every draw follow from (seed, epoch) alone: a resumed run, and one with other loader
    processes, sees the same pictures varied in the same way.
    """

    def __init__(self, class_id: np.ndarray, settings: TrainSettings) -> None:
        weights = torch.from_numpy(draw_weights(settings.data.sampler, class_id))
        self.generator = torch.Generator()
        # without weights every row comes once an epoch; with them rows are drawn with replacement
        uniform = bool((weights == weights[0]).all())
        self.sampler = WeightedRandomSampler(weights.tolist(), len(weights), not uniform, self.generator)
        self.seed, self.epoch = settings.seed, 0

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Draw]:
        self.generator.manual_seed(epoch_seed(self.seed, self.epoch))
        rows = list(self.sampler)
        seeds = torch.randint(2**62, (len(rows),), generator=self.generator)
        return zip(seeds.tolist(), rows, strict=True)


def epoch_seed(seed: int, epoch: int) -> int:
    """One seed for all that is random in an epoch, 63 bits."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> np.uint64(1))
