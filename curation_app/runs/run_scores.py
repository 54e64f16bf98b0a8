"""The scores of a training run, without those that say nothing: of tasks not trained, or of a single class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_manifests.labels import TASKS
from pipeline.runs import Run, section
from reporting.tables import TASK_TITLES


@dataclass(frozen=True)
class RunScores:
    """Scores on validation. `reasons` has the tasks whose scores cannot be measured, `tasks` those that are trained.

    The task `class` stands for the 18 classes; it is among `tasks` only if they can be measured.
    """

    tasks: tuple[str, ...]
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    reasons: Mapping[str, str]
    confusion: Mapping[str, list[list[int]]]
    rows: int
    people: int


def read_scores(run: Run) -> RunScores:
    """Return the scores of a run. Raises StageError if scores.json is missing or broken."""
    found = run.scores()
    trained = tasks_of(run)
    confusion = {task: counts for task, counts in section(found, "confusion").items() if isinstance(counts, list)}
    reasons = {task: str(reason) for task, reason in section(found, "not_measurable").items()}
    if "not_measurable" not in found:  # a run of an older version
        reasons = {task: "one class in validation" for task, counts in confusion.items() if _has_one_class(counts)}
    has_classes = set(trained) == set(TASKS) and "class" not in reasons
    tasks = tuple(task for task in TASK_TITLES if (has_classes if task == "class" else task in trained))
    values = {name: number(value) for name, value in section(found, "scores").items() if _task(name) not in reasons}
    return RunScores(
        tasks=tasks,
        values={name: value for name, value in values.items() if value is not None and _task(name) in (*tasks, "")},
        intervals={name: (low, high) for name, bounds in section(found, "intervals").items()
                   for low, high in [_bounds(bounds)] if low is not None and high is not None},
        reasons={task: reason for task, reason in reasons.items() if task in tasks},
        confusion={task: counts for task, counts in confusion.items() if task in tasks and task not in reasons},
        rows=int(number(found.get("rows")) or 0),
        people=int(number(found.get("people")) or 0),
    )  # fmt: skip


def tasks_of(run: Run) -> tuple[str, ...]:
    """Return the tasks that a run's head predicts: those in run.json, else those that `model.head` names, else all."""
    written = run.about_or_empty().get("tasks")
    names = written if isinstance(written, list) else str(section(run.settings(), "model").get("head", "")).split("+")
    return tuple(task for task in TASKS if task in names) or TASKS


def number(value: object) -> float | None:
    """Return a score as a float; None if it is missing, NaN or of another type."""
    return float(value) if isinstance(value, int | float) and not np.isnan(value) else None


def _task(score: str) -> str:
    """Return the task of a score, such as mask of `mask_f1`; empty for the mean of the tasks."""
    first = score.split("_")[0]
    return {"f1": "class", "accuracy": "class", "tasks": ""}.get(first, first)


def _has_one_class(counts: list[Any]) -> bool:
    return int((np.array(counts).sum(1) > 0).sum()) == 1


def _bounds(values: object) -> tuple[float | None, float | None]:
    found = [number(value) for value in values] if isinstance(values, list) else []
    return (found[0], found[1]) if len(found) == 2 else (None, None)
