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
from data_manifests.labels import N_LABELS, TASKS, UNKNOWN
from data_manifests.taxonomy import N_CLASSES, AgeCuts, split_class_id
from train.head_parts import PARTS_OF_HEAD, TASKS_OF_PART, part_names
from train.models.age_heads import AGE_HEADS, AgeSteps
from train.settings import ModelSettings

_LABEL_OF = dict(zip(TASKS, map(torch.from_numpy, split_class_id(np.arange(N_CLASSES))), strict=True))  # each (18,)
NO_LABEL = UNKNOWN  # label of the classes that a part does not distinguish, and of rows without a label
UNKNOWN_AGE = -1


@dataclass(frozen=True)
class Part:
    """Some of a network's outputs. `label_of` (18,) holds the part's label of each class, or NO_LABEL.

    The label of a row follows from its labels of `tasks`.
    """

    n_labels: int
    label_of: Tensor
    tasks: tuple[str, ...]
    age_steps: AgeSteps | None = None  # the steps that an age is predicted in, if finer than its class

    @property
    def size(self) -> int:
        """Number of outputs."""
        return self.age_steps.n_outputs if self.age_steps else self.n_labels

    @property
    def n_steps(self) -> int:
        """Number of labels in the loss."""
        return len(self.age_steps.starts) if self.age_steps else self.n_labels

    def steps(self, labels: Tensor, age: Tensor) -> Tensor:
        """Return the labels (B,) for the loss from labels (B, 3) and ages in years (B,); NO_LABEL where none."""
        label = self.labels(labels)
        return torch.where(label >= 0, self.age_steps.step_of(age), NO_LABEL) if self.age_steps else label

    def labels(self, labels: Tensor) -> Tensor:
        """Return the part's label (B,) of labels of mask, gender and age (B, 3); NO_LABEL where it does not follow."""
        is_known = (labels[:, [TASKS.index(task) for task in self.tasks]] != UNKNOWN).all(1)
        # an unknown label of another task does not change the part's label, so any class with the known ones will do
        of_class = self.label_of.to(labels.device)[class_of(labels.clamp_min(0))]
        return torch.where(is_known, of_class, NO_LABEL)

    def log_labels(self, outputs: Tensor) -> Tensor:
        """Return log-probabilities of the part's labels (B, n_labels) from outputs (B, size)."""
        return self.age_steps.log_classes(outputs) if self.age_steps else outputs.log_softmax(1)


Head = Mapping[str, Part]


def class_of(labels: Tensor) -> Tensor:
    """Return the class (B,) of labels of mask, gender and age (B, 3), all of them known."""
    return (labels[:, 0] * N_LABELS["gender"] + labels[:, 1]) * N_LABELS["age"] + labels[:, 2]


def _age_of(gender: int) -> Tensor:
    return torch.where(_LABEL_OF["gender"] == gender, _LABEL_OF["age"], NO_LABEL)


# part → its label of each class (18,)
_LABELS_OF_PART = {"class": torch.arange(N_CLASSES), **_LABEL_OF, "male_age": _age_of(0), "female_age": _age_of(1)}
_PARTS = {
    name: Part(int(label_of.max()) + 1, label_of, TASKS_OF_PART[name]) for name, label_of in _LABELS_OF_PART.items()
}
_AGE_PARTS = ("age", "male_age", "female_age")

# name → parts. The probability of a class is the product over the parts that distinguish it.
HEADS: dict[str, Head] = {name: {part: _PARTS[part] for part in parts} for name, parts in PARTS_OF_HEAD.items()}


def head_of(settings: ModelSettings, cuts: AgeCuts) -> Head:
    """Return the parts of `model.head`, with ages in the steps of `model.age`. Raises ConfigError for unknown names."""
    names = part_names(settings.head)
    if settings.age not in AGE_HEADS:
        raise ConfigError(must_be_one_of("model.age", AGE_HEADS, settings.age))
    steps = AGE_HEADS[settings.age](cuts)
    if steps and not set(names) & set(_AGE_PARTS):
        allowed = [name for name, parts in PARTS_OF_HEAD.items() if set(parts) & set(_AGE_PARTS)]
        raise ConfigError(must_be_one_of(f"model.head with model.age={settings.age}", allowed, settings.head))
    return {name: replace(_PARTS[name], age_steps=steps if name in _AGE_PARTS else None) for name in names}


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
