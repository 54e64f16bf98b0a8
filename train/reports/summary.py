"""The figures of a run, computed from its predictions, for scores.json and the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from data_manifests.labels import TASKS as LABEL_TASKS
from data_manifests.labels import UNKNOWN, class_of_labels, labels_of_class
from data_manifests.taxonomy import GENDERS, MASKS, N_AGE_CLASSES, N_CLASSES, AgeCuts, class_names
from reporting.mistakes import is_wrong, labels_in
from train.evaluation import (
    N_OF_TASK,
    PROBABILITIES,
    TASKS,
    bootstrap_intervals,
    calibration_error,
    confusion_of,
    f1_per_class,
    headline_of,
    not_measurable,
    scores_of,
    task_counts,
    task_probabilities,
)

Summary = dict[str, Any]


def summarise(predictions: pd.DataFrame, cuts: AgeCuts, seed: int = 0, tasks: Sequence[str] = LABEL_TASKS) -> Summary:
    """Return all figures as plain JSON values, None for what cannot be measured; `not_measurable` has the reasons.

    `predictions` has the rows of train and val; scores are of val. `seed` is that of the bootstrap, `tasks` are those
    that the network predicts.
    """
    val = predictions[predictions["split"] == "val"]
    labels, predicted = labels_in(val), val["predicted"].to_numpy(np.int64)
    counts = confusion_of(labels, predicted)
    people, rng = val["person_id"].tolist(), np.random.default_rng(seed)
    intervals = bootstrap_intervals(labels, predicted, people, rng, tasks=tasks)
    scores = scores_of(counts, tasks)
    classes = set(class_of_labels(labels).tolist())
    summary = {
        "scores": scores,
        "headline": headline_of(scores),
        "not_measurable": not_measurable(counts, tasks),
        "intervals": {name: list(bounds) for name, bounds in intervals.items()},
        "calibration_error": _calibration(val, tasks),
        "rows": len(val),
        "people": val["person_id"].nunique(),
        "absent": [class_names(cuts)[index] for index in range(N_CLASSES) if index not in classes],
        "parts": _parts(predictions, tasks),
        "tasks": {task: _per_label(task_counts(counts, task), task, cuts) for task in TASKS},
        "confusion": {task: task_counts(counts, task).tolist() for task in TASKS},
        "age_by_mask": _age_by("mask", labels, predicted),
        "age_by_gender": _age_by("gender", labels, predicted),
        "rows_by_class": _rows_by_label(predictions, "class", cuts),
        "rows_by_label": {task: _rows_by_label(predictions, task, cuts) for task in LABEL_TASKS},
    }
    return _without_nan(summary)


def _parts(predictions: pd.DataFrame, tasks: Sequence[str]) -> list[Summary]:
    """Return the scores of validation and training rows, real and synthetic separately."""
    parts = []
    for split in ("val", "train"):
        for synthetic in (False, True):
            part = predictions[(predictions["split"] == split) & (predictions["is_synthetic"] == synthetic)]
            if len(part):
                about: Summary = {"split": split, "kind": "synthetic" if synthetic else "real", "rows": len(part)}
                about |= {"people": part["person_id"].nunique(), "calibration_error": _calibration(part, tasks)}
                counts = confusion_of(labels_in(part), part["predicted"].to_numpy(np.int64))
                parts.append(about | scores_of(counts, tasks))
    return parts


def _calibration(rows: pd.DataFrame, tasks: Sequence[str]) -> float | None:
    """Return the calibration error of the classes, or the mean of those of the tasks where no row has all labels."""
    probability, labels = rows[PROBABILITIES].to_numpy(np.float32), labels_in(rows)
    target = class_of_labels(labels)
    if set(tasks) == set(LABEL_TASKS) and (target != UNKNOWN).any():
        known = target != UNKNOWN
        return calibration_error(probability[known], target[known])
    errors = []
    for task in tasks:
        codes = labels[:, LABEL_TASKS.index(task)]
        known = codes != UNKNOWN
        if known.any():
            errors.append(calibration_error(task_probabilities(probability[known], task), codes[known]))
    return float(np.mean(errors)) if errors else None


def _per_label(counts: np.ndarray, task: str, cuts: AgeCuts) -> list[Summary]:
    """Return precision, recall and F1 of each class of a task; NaN where there is nothing to divide by."""
    hits, true, predicted = np.diag(counts), counts.sum(1), counts.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall = hits / predicted, hits / true
    columns = zip(_class_names(task, cuts), true, precision, recall, f1_per_class(counts), strict=True)
    return [
        {"name": name, "rows": int(rows), "precision": float(p), "recall": float(r), "f1": float(f1)}
        for name, rows, p, r, f1 in columns
    ]


def _class_names(task: str, cuts: AgeCuts) -> list[str]:
    return {"class": class_names(cuts), "mask": list(MASKS), "gender": list(GENDERS), "age": list(cuts.names)}[task]


def _age_by(task: str, labels: np.ndarray, predicted: np.ndarray) -> list[list[Summary]]:
    """Return accuracies by labelled age class (rows) and class of another task (columns), of the rows with both.

    `age_accuracy` is that of the age class, `accuracy` that of all known labels together.
    """
    given, found = (by[:, LABEL_TASKS.index("age")] for by in (labels, labels_of_class(predicted)))
    age_hit, hit = given == found, ~is_wrong(labels, predicted)
    other = labels[:, LABEL_TASKS.index(task)]
    cells = [[(other == state) & (given == old) for state in range(N_OF_TASK[task])] for old in range(N_AGE_CLASSES)]
    return [
        [
            {
                "rows": int(cell.sum()),
                "age_accuracy": float(age_hit[cell].mean()) if cell.any() else None,
                "accuracy": float(hit[cell].mean()) if cell.any() else None,
            }
            for cell in row
        ]
        for row in cells
    ]


def _rows_by_label(predictions: pd.DataFrame, task: str, cuts: AgeCuts) -> list[Summary]:
    """Return the number of images of each label of a task, by split and by real or synthetic."""
    labels = labels_in(predictions)
    codes = class_of_labels(labels) if task == "class" else labels[:, LABEL_TASKS.index(task)]
    kinds = predictions["is_synthetic"].map({False: "real", True: "synthetic"})
    counted = predictions.groupby([codes, predictions["split"], kinds]).size()
    return [
        {
            "name": name,
            "train_real": int(counted.get((index, "train", "real"), 0)),
            "train_synthetic": int(counted.get((index, "train", "synthetic"), 0)),
            "val_real": int(counted.get((index, "val", "real"), 0)),
            "val_synthetic": int(counted.get((index, "val", "synthetic"), 0)),
        }
        for index, name in enumerate(_class_names(task, cuts))
    ]


def _without_nan(value: Any) -> Any:
    """Replace NaN, which JSON does not have, by None."""
    if isinstance(value, dict):
        return {key: _without_nan(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and np.isnan(value) else value
