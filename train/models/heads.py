"""What the outputs of a network mean: one head of 18 classes, or parts from which the 18 are composed.

outputs (B, n) ─ log_probability ─▶ (B, 18)        loss: each part against its own labels
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from data_manifests.errors import ConfigError, must_be_one_of
from data_manifests.taxonomy import GENDERS, MASKS, N_AGE_CLASSES, N_CLASSES, AgeCuts, split_class_id
from train.models.age_heads import AGES, Ages
from train.models.losses import Loss
from train.settings import LossSettings, ModelSettings

_MASK, _GENDER, _AGE = (torch.from_numpy(part) for part in split_class_id(np.arange(N_CLASSES)))  # each (18,)
_NEVER = -1  # the part says nothing about such a class
UNKNOWN_AGE = -1


@dataclass(frozen=True)
class Part:
    """Some of a network's outputs. `label_of` (18,) gives the part's label of each class, or _NEVER."""

    n_labels: int
    label_of: Tensor
    tells_age: bool = False
    ages: Ages | None = None  # the steps in which an age is told, if finer than its class

    @property
    def size(self) -> int:
        """How many outputs."""
        return self.ages.n_outputs if self.ages else self.n_labels

    @property
    def n_steps(self) -> int:
        """How many labels the loss tells apart."""
        return len(self.ages.starts) if self.ages else self.n_labels

    def steps(self, target: Tensor, age: Tensor) -> Tensor:
        """Classes and ages (years), both (B,) → what the loss compares with (B,); _NEVER where nothing is asked."""
        label = self.label_of.to(target.device)[target]
        return torch.where(label >= 0, self.ages.step_of(age), _NEVER) if self.ages else label

    def log_labels(self, outputs: Tensor) -> Tensor:
        """outputs (B, size) → log-probabilities of the part's labels (B, n_labels)."""
        return self.ages.log_classes(outputs) if self.ages else outputs.log_softmax(1)


Head = Mapping[str, Part]

_MASK_PART = Part(len(MASKS), _MASK)
_GENDER_PART = Part(len(GENDERS), _GENDER)
_AGE_PART = Part(N_AGE_CLASSES, _AGE, tells_age=True)

# name → parts. Where several parts know a class, its probability is their product.
HEADS: dict[str, Head] = {
    "class": {"class": Part(N_CLASSES, torch.arange(N_CLASSES))},
    "tasks": {"mask": _MASK_PART, "gender": _GENDER_PART, "age": _AGE_PART},
    # the age is told by one part for men and another for women
    "gendered_age": {
        "mask": _MASK_PART,
        "gender": _GENDER_PART,
        "male_age": replace(_AGE_PART, label_of=torch.where(_GENDER == 0, _AGE, _NEVER)),
        "female_age": replace(_AGE_PART, label_of=torch.where(_GENDER == 1, _AGE, _NEVER)),
    },
    # one task only: of what it does not know, all is equally likely, so that several such runs make up the 18 together
    "mask": {"mask": _MASK_PART},
    "gender": {"gender": _GENDER_PART},
    "age": {"age": _AGE_PART},
}


def head_of(settings: ModelSettings, cuts: AgeCuts) -> Head:
    """The parts of a head, ages told as `model.age` says. Raises ConfigError with the choices."""
    if settings.head not in HEADS:
        raise ConfigError(must_be_one_of("model.head", HEADS, settings.head))
    if settings.age not in AGES:
        raise ConfigError(must_be_one_of("model.age", AGES, settings.age))
    ages, head = AGES[settings.age](cuts), HEADS[settings.head]
    if ages and not any(part.tells_age for part in head.values()):
        able = [name for name, parts in HEADS.items() if any(part.tells_age for part in parts.values())]
        raise ConfigError(must_be_one_of(f"model.head with model.age={settings.age}", able, settings.head))
    return {name: replace(part, ages=ages if part.tells_age else None) for name, part in head.items()}


def n_outputs(head: Head) -> int:
    return sum(part.size for part in head.values())


def needs_years(head: Head) -> bool:
    """Whether the loss needs ages in years, not only their classes."""
    return any(part.ages for part in head.values())


def split_outputs(outputs: Tensor, head: Head) -> dict[str, Tensor]:
    """outputs (B, n) → outputs (B, part.size) of each part."""
    return dict(zip(head, outputs.split([part.size for part in head.values()], dim=1), strict=True))


def log_probability(outputs: Tensor, head: Head) -> Tensor:
    """outputs (B, n) → log of the probabilities of the 18 classes (B, 18)."""
    total = outputs.new_zeros(len(outputs), N_CLASSES)
    for name, values in split_outputs(outputs, head).items():
        label = head[name].label_of.to(outputs.device)
        known = head[name].log_labels(values)[:, label.clamp_min(0)]  # (B, 18)
        total = total + torch.where(label >= 0, known, 0)
    return total.log_softmax(1)


class HeadLoss(nn.Module):
    """outputs (B, n), classes (B,), ages in years (B,) → the sum of the parts' losses, each times its `loss.tasks`.

    `target` and `age` (N,) of the training rows say how often each label is met. A batch in which no sample concerns
    a part adds nothing for it.
    """

    def __init__(self, settings: LossSettings, head: Head, target: Tensor, age: Tensor) -> None:
        super().__init__()
        for name in settings.tasks:
            if name not in head:
                raise ConfigError(must_be_one_of("loss.tasks of this head", head, name))
        self.head, self.task_weight = head, settings.tasks
        self.losses = nn.ModuleDict()
        biases = []
        for name, part in head.items():
            steps = part.steps(target, age)
            counts = torch.bincount(steps[steps >= 0], minlength=part.n_steps)
            self.losses[name] = Loss(settings, counts)
            seen = torch.where(counts > 0, 1.0, 0.5 / max(1, len(target)))
            biases.append(part.ages.outputs_of(seen) if part.ages else seen.log())
        self.first_bias = torch.cat(biases)  # (n,): all labels even, but for those that training never shows

    def forward(self, outputs: Tensor, target: Tensor, age: Tensor) -> Tensor:
        total = outputs.sum() * 0
        for name, values in split_outputs(outputs, self.head).items():
            part = self.head[name]
            steps = part.steps(target, age)  # (B,)
            known = steps >= 0
            if known.any():
                loss = self._part_loss(name, part, values[known], steps[known], age[known])
                total = total + self.task_weight.get(name, 1.0) * loss
        return total

    def _part_loss(self, name: str, part: Part, outputs: Tensor, steps: Tensor, age: Tensor) -> Tensor:
        if part.ages and part.ages.spread_years:
            return part.ages.distribution_loss(outputs, age)
        return self.losses[name](part.ages.log_steps(outputs) if part.ages else outputs, steps)
