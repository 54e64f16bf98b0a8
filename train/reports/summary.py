"""The figures of a run, computed from its predictions, for scores.json and the report."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from data_manifests.taxonomy import GENDERS, MASKS, N_AGE_CLASSES, N_CLASSES, AgeCuts, class_names, split_class_id
from train.evaluation import (
    N_OF_TASK,
    PROBABILITIES,
    TASKS,
    bootstrap_intervals,
    calibration_error,
    confusion_of,
    f1_per_class,
    scores_of,
    task_counts,
)

Summary = dict[str, Any]


def summarise(predictions: pd.DataFrame, cuts: AgeCuts, seed: int = 0) -> Summary:
    """Return all figures as plain JSON values.

    `predictions` has the rows of train and val; scores are of val. `seed` is that of the bootstrap.
    """
    val = predictions[predictions["split"] == "val"]
    target, predicted = val["target"].to_numpy(np.int64), val["predicted"].to_numpy(np.int64)
    counts = confusion_of(target, predicted)
    people = val["person_id"].tolist()
    intervals = bootstrap_intervals(target, predicted, people, np.random.default_rng(seed))
    summary = {
        "scores": scores_of(counts),
        "intervals": {name: list(bounds) for name, bounds in intervals.items()},
        "calibration_error": _calibration(val, target),
        "rows": len(val),
        "people": val["person_id"].nunique(),
        "absent": [class_names(cuts)[index] for index in range(N_CLASSES) if index not in set(target.tolist())],
        "parts": _parts(predictions),
        "tasks": {task: _per_label(task_counts(counts, task), task, cuts) for task in TASKS},
        "confusion": {task: task_counts(counts, task).tolist() for task in TASKS},
        "age_by_mask": _age_by("mask", target, predicted),
        "age_by_gender": _age_by("gender", target, predicted),
        "rows_by_class": _rows_by_class(predictions, cuts),
    }
    return _without_nan(summary)


def _parts(predictions: pd.DataFrame) -> list[Summary]:
    """Return the scores of validation and training rows, real and synthetic separately."""
    parts = []
    for split in ("val", "train"):
        for synthetic in (False, True):
            part = predictions[(predictions["split"] == split) & (predictions["is_synthetic"] == synthetic)]
            if len(part):
                target = part["target"].to_numpy(np.int64)
                about: Summary = {"split": split, "kind": "synthetic" if synthetic else "real", "rows": len(part)}
                about |= {"people": part["person_id"].nunique(), "calibration_error": _calibration(part, target)}
                parts.append(about | scores_of(confusion_of(target, part["predicted"].to_numpy(np.int64))))
    return parts


def _calibration(rows: pd.DataFrame, target: np.ndarray) -> float:
    return calibration_error(rows[PROBABILITIES].to_numpy(np.float32), target)


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


def _age_by(task: str, target: np.ndarray, predicted: np.ndarray) -> list[list[Summary]]:
    """Return accuracies by labelled age class (rows) and class of another task (columns).

    `age_accuracy` is that of the age class, `accuracy` that of all three labels together.
    """
    age, age_hit = split_class_id(target)[2], split_class_id(predicted)[2] == split_class_id(target)[2]
    other = split_class_id(target)[TASKS[1:].index(task)]
    cells = [[(other == state) & (age == old) for state in range(N_OF_TASK[task])] for old in range(N_AGE_CLASSES)]
    return [
        [
            {
                "rows": int(cell.sum()),
                "age_accuracy": float(age_hit[cell].mean()) if cell.any() else None,
                "accuracy": float((target == predicted)[cell].mean()) if cell.any() else None,
            }
            for cell in row
        ]
        for row in cells
    ]


def _rows_by_class(predictions: pd.DataFrame, cuts: AgeCuts) -> list[Summary]:
    """Return the number of images of each class, by split and by real or synthetic."""
    kinds = predictions["is_synthetic"].map({False: "real", True: "synthetic"})
    counted = predictions.groupby([predictions["target"], predictions["split"], kinds]).size()
    return [
        {
            "name": name,
            "train_real": int(counted.get((index, "train", "real"), 0)),
            "train_synthetic": int(counted.get((index, "train", "synthetic"), 0)),
            "val_real": int(counted.get((index, "val", "real"), 0)),
            "val_synthetic": int(counted.get((index, "val", "synthetic"), 0)),
        }
        for index, name in enumerate(class_names(cuts))
    ]


def _without_nan(value: Any) -> Any:
    """Replace NaN, which JSON does not have, by None."""
    if isinstance(value, dict):
        return {key: _without_nan(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and np.isnan(value) else value
