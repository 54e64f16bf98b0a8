"""The names of heads and their parts, and the tasks that each part needs a label of. This module imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data_manifests.errors import ConfigError, must_be_one_of
from data_manifests.labels import TASKS

AUTO = "auto"  # chosen from the labels of the training rows: train/engine/auto_settings.py

# part → the tasks whose labels its own label follows from
TASKS_OF_PART: Mapping[str, tuple[str, ...]] = {
    "class": TASKS,
    **{task: (task,) for task in TASKS},
    "male_age": ("gender", "age"),
    "female_age": ("gender", "age"),
}

# `model.head` → parts; tasks can also be joined, as in mask+gender
PARTS_OF_HEAD: Mapping[str, tuple[str, ...]] = {
    "class": ("class",),
    "tasks": TASKS,
    "gendered_age": ("mask", "gender", "male_age", "female_age"),  # predicts the age of men and of women separately
    # one task alone: classes that it does not distinguish get equal shares, so a product over such runs gives the 18
    **{task: (task,) for task in TASKS},
}


def part_names(head: str) -> tuple[str, ...]:
    """Return the parts of `model.head`, such as ("mask", "gender") of mask+gender. Raises ConfigError."""
    if head in PARTS_OF_HEAD:
        return PARTS_OF_HEAD[head]
    words = head.split("+")
    if len(words) < 2 or len(set(words)) < len(words) or not set(words) <= set(TASKS):
        raise ConfigError(must_be_one_of("model.head", [AUTO, *PARTS_OF_HEAD, "mask+gender", "…"], head))
    return tuple(task for task in TASKS if task in words)


def tasks_of_head(head: str) -> tuple[str, ...]:
    """Return the tasks that a head predicts, in the order of TASKS. Raises ConfigError."""
    found = {task for part in part_names(head) for task in TASKS_OF_PART[part]}
    return tuple(task for task in TASKS if task in found)


def head_for(tasks: Sequence[str]) -> str:
    """Return the head with one part for each of the tasks: `mask`, `mask+gender`, or `tasks` for all three."""
    return "tasks" if len(tasks) == len(TASKS) else "+".join(tasks)
