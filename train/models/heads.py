"""The meaning of a network's outputs: one head of 18 classes, or parts from which the 18 are composed.

outputs (B, n) ─ log_probability ─▶ (B, 18)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from data_manifests.errors import ConfigError, must_be_one_of
from data_manifests.taxonomy import GENDERS, MASKS, N_AGE_CLASSES, N_CLASSES, AgeCuts, split_class_id
from train.models.age_heads import AGE_HEADS, AgeSteps
from train.settings import ModelSettings

_MASK, _GENDER, _AGE = (torch.from_numpy(part) for part in split_class_id(np.arange(N_CLASSES)))  # each (18,)
NO_LABEL = -1  # label of the classes that a part does not distinguish
UNKNOWN_AGE = -1


@dataclass(frozen=True)
class Part:
    """Some of a network's outputs. `label_of` (18,) holds the part's label of each class, or NO_LABEL."""

    n_labels: int
    label_of: Tensor
    predicts_age: bool = False
    age_steps: AgeSteps | None = None  # the steps that an age is predicted in, if finer than its class

    @property
    def size(self) -> int:
        """Number of outputs."""
        return self.age_steps.n_outputs if self.age_steps else self.n_labels

    @property
    def n_steps(self) -> int:
        """Number of labels in the loss."""
        return len(self.age_steps.starts) if self.age_steps else self.n_labels

    def steps(self, target: Tensor, age: Tensor) -> Tensor:
        """Return the labels (B,) for the loss from classes and ages in years, both (B,); NO_LABEL where none."""
        label = self.label_of.to(target.device)[target]
        return torch.where(label >= 0, self.age_steps.step_of(age), NO_LABEL) if self.age_steps else label

    def log_labels(self, outputs: Tensor) -> Tensor:
        """Return log-probabilities of the part's labels (B, n_labels) from outputs (B, size)."""
        return self.age_steps.log_classes(outputs) if self.age_steps else outputs.log_softmax(1)


Head = Mapping[str, Part]

_MASK_PART = Part(len(MASKS), _MASK)
_GENDER_PART = Part(len(GENDERS), _GENDER)
_AGE_PART = Part(N_AGE_CLASSES, _AGE, predicts_age=True)

# name → parts. The probability of a class is the product over the parts that distinguish it.
HEADS: dict[str, Head] = {
    "class": {"class": Part(N_CLASSES, torch.arange(N_CLASSES))},
    "tasks": {"mask": _MASK_PART, "gender": _GENDER_PART, "age": _AGE_PART},
    # separate parts predict the age of men and of women
    "gendered_age": {
        "mask": _MASK_PART,
        "gender": _GENDER_PART,
        "male_age": replace(_AGE_PART, label_of=torch.where(_GENDER == 0, _AGE, NO_LABEL)),
        "female_age": replace(_AGE_PART, label_of=torch.where(_GENDER == 1, _AGE, NO_LABEL)),
    },
    # one task alone: classes that it does not distinguish get equal shares, so a product over such runs gives the 18
    "mask": {"mask": _MASK_PART},
    "gender": {"gender": _GENDER_PART},
    "age": {"age": _AGE_PART},
}


def head_of(settings: ModelSettings, cuts: AgeCuts) -> Head:
    """Return the parts of `model.head`, with ages in the steps of `model.age`. Raises ConfigError for unknown names."""
    if settings.head not in HEADS:
        raise ConfigError(must_be_one_of("model.head", HEADS, settings.head))
    if settings.age not in AGE_HEADS:
        raise ConfigError(must_be_one_of("model.age", AGE_HEADS, settings.age))
    steps, head = AGE_HEADS[settings.age](cuts), HEADS[settings.head]
    if steps and not any(part.predicts_age for part in head.values()):
        allowed = [name for name, parts in HEADS.items() if any(part.predicts_age for part in parts.values())]
        raise ConfigError(must_be_one_of(f"model.head with model.age={settings.age}", allowed, settings.head))
    return {name: replace(part, age_steps=steps if part.predicts_age else None) for name, part in head.items()}


def n_outputs(head: Head) -> int:
    """Return the number of outputs of all parts."""
    return sum(part.size for part in head.values())


def needs_years(head: Head) -> bool:
    """Return whether the loss needs ages in years, not only age classes."""
    return any(part.age_steps for part in head.values())


def split_outputs(outputs: Tensor, head: Head) -> dict[str, Tensor]:
    """Split outputs (B, n) into those of each part (B, part.size)."""
    return dict(zip(head, outputs.split([part.size for part in head.values()], dim=1), strict=True))


def log_probability(outputs: Tensor, head: Head) -> Tensor:
    """Return log-probabilities of the 18 classes (B, 18) from outputs (B, n)."""
    total = outputs.new_zeros(len(outputs), N_CLASSES)
    for name, values in split_outputs(outputs, head).items():
        label = head[name].label_of.to(outputs.device)
        of_class = head[name].log_labels(values)[:, label.clamp_min(0)]  # (B, 18)
        total = total + torch.where(label >= 0, of_class, 0)
    return total.log_softmax(1)
