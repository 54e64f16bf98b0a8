"""What the outputs of a network mean: one head of 18 classes, or parts from which the 18 are composed.

outputs (B, n) ─ log_probability ─▶ (B, 18)        loss: each part against its own labels
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from data_manifests.errors import ConfigError, must_be_one_of
from data_manifests.taxonomy import GENDERS, MASKS, N_AGE_CLASSES, N_CLASSES, split_class_id
from train.config import LossSettings
from train.losses import Loss

_MASK, _GENDER, _AGE = (torch.from_numpy(part) for part in split_class_id(np.arange(N_CLASSES)))  # each (18,)
_NEVER = -1  # the part says nothing about such a class


@dataclass(frozen=True)
class Part:
    """Some of a network's outputs. `label_of` (18,) gives the part's label of each class, or _NEVER."""

    size: int
    label_of: Tensor


_TASKS = {"mask": Part(len(MASKS), _MASK), "gender": Part(len(GENDERS), _GENDER)}

# name → parts. Where several parts know a class, its probability is their product.
HEADS: dict[str, Mapping[str, Part]] = {
    "class": {"class": Part(N_CLASSES, torch.arange(N_CLASSES))},
    "tasks": {**_TASKS, "age": Part(N_AGE_CLASSES, _AGE)},
    # the age is told by one part for men and another for women
    "gendered_age": {
        **_TASKS,
        "male_age": Part(N_AGE_CLASSES, torch.where(_GENDER == 0, _AGE, _NEVER)),
        "female_age": Part(N_AGE_CLASSES, torch.where(_GENDER == 1, _AGE, _NEVER)),
    },
}


def head_of(name: str) -> Mapping[str, Part]:
    """The parts of a head. Raises ConfigError with the choices."""
    if name not in HEADS:
        raise ConfigError(must_be_one_of("model.head", HEADS, name))
    return HEADS[name]


def n_outputs(head: Mapping[str, Part]) -> int:
    return sum(part.size for part in head.values())


def split_outputs(outputs: Tensor, head: Mapping[str, Part]) -> dict[str, Tensor]:
    """outputs (B, n) → logits (B, part.size) of each part."""
    return dict(zip(head, outputs.split([part.size for part in head.values()], dim=1), strict=True))


def log_probability(outputs: Tensor, head: Mapping[str, Part]) -> Tensor:
    """outputs (B, n) → log of the probabilities of the 18 classes (B, 18)."""
    total = outputs.new_zeros(len(outputs), N_CLASSES)
    for name, logits in split_outputs(outputs, head).items():
        label = head[name].label_of.to(outputs.device)
        known = logits.log_softmax(1)[:, label.clamp_min(0)]  # (B, 18)
        total = total + torch.where(label >= 0, known, 0)
    return total


class HeadLoss(nn.Module):
    """outputs (B, n), targets (B,) → the sum of the parts' losses, each times its weight in `loss.tasks`.

    `class_counts` (18,) is how often each class stands in training. A batch in which no sample concerns a part
    adds nothing for it.
    """

    def __init__(self, settings: LossSettings, head: Mapping[str, Part], class_counts: Tensor) -> None:
        super().__init__()
        for name in settings.tasks:
            if name not in head:
                raise ConfigError(must_be_one_of("loss.tasks of this head", head, name))
        self.head, self.task_weight = head, settings.tasks
        self.losses = nn.ModuleDict()
        for name, part in head.items():
            counts = torch.zeros(part.size)
            known = part.label_of >= 0
            counts.index_add_(0, part.label_of[known], class_counts[known].float())
            self.losses[name] = Loss(settings, counts)

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        total = outputs.sum() * 0
        for name, logits in split_outputs(outputs, self.head).items():
            label = self.head[name].label_of.to(target.device)[target]  # (B,)
            known = label >= 0
            if known.any():
                total = total + self.task_weight.get(name, 1.0) * self.losses[name](logits[known], label[known])
        return total
