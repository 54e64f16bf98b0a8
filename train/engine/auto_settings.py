"""The settings left at `auto` that follow from the labels of a manifest: `model.head` and `optim.metric`.

A run records what was chosen, so that it is resumed and repeated with the same settings.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from data_manifests.errors import ManifestError, StageError
from data_manifests.labels import TASKS, UNKNOWN, class_of_labels
from data_manifests.versions import Manifest
from reporting.tables import score_text
from train.data import labels_of
from train.evaluation import confusion_of, not_measurable
from train.head_parts import AUTO, tasks_of_head
from train.rows import auto_head, constant_labels, labels_of_rows, learnable_tasks, row_usage, select_rows
from train.settings import TrainSettings

Echo = Callable[[str], None]


def choose_auto(settings: TrainSettings, manifest: Manifest, echo: Echo) -> TrainSettings:
    """Return settings without `auto` in `model.head`, `model.pretrained` and `optim.metric`, and report the choices.

    Raises ManifestError if no rows can be selected, or if `optim.metric` cannot be measured on the validation rows.
    """
    settings = choose_head(settings, manifest, echo)
    ref = manifest.version.ref
    if settings.model.embedding and manifest.table["landmarks_xy"].null_count == manifest.table.num_rows:
        raise StageError(
            f"model.embedding={settings.model.embedding} needs landmarks, and {ref} has none. "
            f"Run: facecurate preprocess run {ref} (or set model.pretrained=false to train a network from scratch)"
        )
    selection = select_rows(manifest, settings.data, settings.model.head)
    if settings.data.all_rows:
        return _with_metric(settings, "f1" if settings.optim.metric == AUTO else settings.optim.metric)
    labels = labels_of(selection.val).labels
    measurable = measurable_metrics(labels, settings.model.head)
    metric = measurable[0] if settings.optim.metric == AUTO else settings.optim.metric
    if metric not in measurable:
        reasons = not_measurable(
            confusion_of(labels, np.zeros(len(labels), np.int64)), tasks_of_head(settings.model.head)
        )
        task = metric.rpartition("_")[0] or "class"
        raise ManifestError(
            f"{ref}: optim.metric={metric} is {score_text(None, reasons.get(task, 'only one task'))}. "
            f"Set optim.metric to one of {{{', '.join([AUTO, *measurable])}}}."
        )
    if metric != "f1" and settings.optim.metric == AUTO:
        names = {"tasks_f1": "the mean of the tasks' macro F1", "loss": "the loss: no score is measurable"}
        echo(f"  best epoch by {names.get(metric, metric.replace('_f1', ' macro F1'))} on validation")
    return _with_metric(settings, metric)


def choose_head(settings: TrainSettings, manifest: Manifest, echo: Echo) -> TrainSettings:
    """Return settings in which `model.head` follows from the labels of the training rows, if it is `auto`."""
    model = settings.model
    if model.pretrained == AUTO:  # the commands choose the start before: train/start.py
        model = model.model_copy(update={"pretrained": not model.embedding})
    if model.head == AUTO:
        labels = labels_of_rows(manifest.table.filter(pa.array(row_usage(manifest.table, settings.data) == "train")))
        if (labels != UNKNOWN).any():
            model = model.model_copy(
                update={"head": auto_head(labels, bool(model.embedding) or model.freeze == "backbone")}
            )
            for line in _head_lines(labels, model.head, manifest):
                echo(line)
        else:  # select_rows reports what is missing: a split, training rows, or all labels
            model = model.model_copy(update={"head": "class"})
    return settings.model_copy(update={"model": model})


def measurable_metrics(labels: np.ndarray, head: str) -> list[str]:
    """Return the values of `optim.metric` that validation rows with labels (N, 3) can measure, the main one first."""
    tasks = [task for task in tasks_of_head(head) if task in learnable_tasks(labels)]
    classes = class_of_labels(labels)
    has_classes = set(tasks_of_head(head)) == set(TASKS) and len(np.unique(classes[classes != UNKNOWN])) > 1
    names = ["f1", "accuracy"] if has_classes else ["tasks_f1"] if len(tasks) > 1 else []
    return [*names, *(f"{task}_{score}" for task in tasks for score in ("f1", "accuracy")), "loss"]


def _head_lines(labels: np.ndarray, head: str, manifest: Manifest) -> list[str]:
    """Return what was chosen for training rows with labels (N, 3), and why; nothing for the 18 classes of all rows."""
    ref, trained = manifest.version.ref, tasks_of_head(head)
    lines = []
    for task, name in constant_labels(labels, manifest.cuts).items():
        lines.append(f"  {task} {'is not trained' if task not in trained else 'cannot be learned'}: "
                     f"every label in train is {name!r}")  # fmt: skip
    unlabelled = (labels == UNKNOWN).sum(0)
    if unlabelled.any():
        known = ", ".join(
            f"{len(labels) - count} {task}" for task, count in zip(TASKS, unlabelled.tolist(), strict=True)
        )
        lines.append(f"  {ref} has {len(labels)} rows in train, with labels: {known}; model.head={head}")
    return lines


def _with_metric(settings: TrainSettings, metric: str) -> TrainSettings:
    return settings.model_copy(update={"optim": settings.optim.model_copy(update={"metric": metric})})
