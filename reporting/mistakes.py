"""The worst mistakes of a training run, for its report and for the app, and the labels of its predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from data_manifests.labels import TASKS, UNKNOWN, labels_of_class
from data_manifests.taxonomy import N_CLASSES
from pipeline.runs import PROBABILITIES, TARGETS

MISTAKE_COLUMNS = ("sample_id", "split", "target", "predicted", "confidence", *PROBABILITIES)
_OF_CLASS = labels_of_class(np.arange(N_CLASSES))  # (18, 3)


def worst_mistakes(predictions: pd.DataFrame, limit: int, tasks: Sequence[str] = TASKS) -> pd.DataFrame:
    """Return the validation rows with the most confident wrong prediction, the most confident first.

    `predictions` has `MISTAKE_COLUMNS`, and TARGETS where labels may be unknown; a prediction is wrong if one of the
    known labels of `tasks`, those that the network predicts, is another one. Adds `p_label`, the probability of the
    labels, and `margin`, by which the probability of the prediction exceeds it.
    """
    val = predictions[predictions["split"] == "val"]
    wrong = val[is_wrong(labels_in(val), val["predicted"].to_numpy(), tasks)]
    p_label = probability_of(wrong[PROBABILITIES].to_numpy(), known_labels(labels_in(wrong), tasks))
    wrong = wrong.assign(p_label=p_label, margin=wrong["confidence"] - p_label)
    return wrong.sort_values(["margin", "sample_id"], ascending=[False, True]).head(limit)


def labels_in(predictions: pd.DataFrame) -> np.ndarray:
    """Return the labels of mask, gender and age (N, 3) of a table of predictions; UNKNOWN where there is none.

    Those of a run of an older version follow from its class `target`.
    """
    if set(TARGETS.values()) <= set(predictions):
        return predictions[list(TARGETS.values())].to_numpy(np.int64)
    return labels_of_class(predictions["target"].to_numpy(np.int64))


def known_labels(labels: np.ndarray, tasks: Sequence[str]) -> np.ndarray:
    """Return labels (N, 3) with UNKNOWN for all but `tasks`."""
    return np.where([task in tasks for task in TASKS], labels, UNKNOWN)


def is_wrong(labels: np.ndarray, predicted: np.ndarray, tasks: Sequence[str] = TASKS) -> np.ndarray:
    """Return whether predicted classes (N,) contradict a known label of `tasks` in labels (N, 3), bool (N,)."""
    known = known_labels(labels, tasks)
    return ((known != UNKNOWN) & (known != _OF_CLASS[predicted.astype(np.int64)])).any(1)


def probability_of(probability: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the probability (N,) of the known labels of labels (N, 3), from those of the 18 classes (N, 18)."""
    agrees = ((labels[:, None] == UNKNOWN) | (labels[:, None] == _OF_CLASS)).all(2)  # (N, 18)
    return (probability * agrees).sum(1)
