"""The report of a run: one HTML file with its images inside, light or dark as the reader's system is.

It is made from the files of the run's folder; the store gives only the photos of the worst mistakes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
import pandas as pd

from data_manifests.labels import TASKS as LABEL_TASKS
from data_manifests.labels import UNKNOWN, label_names, labels_of_class
from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts
from data_manifests.versions import Store
from pipeline.runs import CONFIG, REPORT, Run
from reporting import html
from reporting.charts import KINDS, LEARNING_CURVES, learning_curve, to_svg
from reporting.confusion import confusion_chart
from reporting.mistakes import is_wrong, labels_in, worst_mistakes
from reporting.tables import NO_VALUE, TASK_TITLES, task_labels
from reporting.theme import PAGE
from reporting.thumbnails import thumbnail_url
from train.evaluation import NOT_TRAINED, TASKS, accuracy_without_error, score_title
from train.reports.summary import Summary, summarise

N_MISTAKES = 12
_MISTAKE_PX = 900, 224  # width and height that a photo of a mistake fits in
_CURVE_PX, _LARGE_TABLE_PX, _SMALL_TABLE_PX = 320, 900, 330  # widths of charts
_TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """Return the page of a template of `train/reports/templates`; see `reporting.html.render`."""
    return html.render(_TEMPLATES / template, **values)


def write_report(run: Run, store: Store) -> Path:
    """Write report.html into the run's folder and return its path. Raises StageError if the run has not finished."""
    about, summary = run.about(), run.scores()
    history = run.history()
    predictions = run.predictions().to_pandas()
    cuts = AgeCuts(*about["age_cuts"])
    if "age_by_gender" not in summary:  # written by an older version of the toolkit
        summary = summarise(predictions, cuts, about["seed"])
    tasks, reasons = about.get("tasks", list(LABEL_TASKS)), summary.get("not_measurable", {})
    has_classes = "class" not in reasons
    val = predictions[predictions["split"] == "val"]
    shown = [_task(task, summary, reasons, cuts, val) for task in _shown_tasks(summary, reasons)]
    partly = _partly_labelled(predictions, tasks, has_classes)
    counts = _counts(summary, tasks, has_classes and not partly)
    page = render(
        "report.html.j2",
        about=about,
        summary=summary,
        settings=run.settings(),
        tasks=shown,
        measured=[task for task in shown if not task["reason"]],
        has_classes=has_classes,
        by_class=has_classes and not partly,
        partly=partly,
        knows_people=not predictions.loc[~predictions["is_synthetic"], "person_id"].is_unique,
        command=f"facecurate train fit {quote(about['manifest'])} --config {quote(_from_here(run.path / CONFIG))}",
        has_synthetic=any(row["train_synthetic"] + row["val_synthetic"] for row in counts),
        columns=_columns(reasons, summary.get("headline", "f1")),
        parts=summary["parts"],
        curves=_curves(history, about["best_epoch"], summary.get("headline", "f1")),
        metric=_metric(run),
        epochs=len(history["epoch"]),
        seconds=int(sum(history["seconds"])),
        age_tables=_age_tables(summary, reasons, cuts),
        counts=counts,
        mistakes=_mistakes(predictions, cuts, store, tasks),
        n_mistakes=int(is_wrong(labels_in(val), val["predicted"].to_numpy(), tasks).sum()),
        most_rows=max(row["train_real"] + row["train_synthetic"] for row in counts) or 1,
    )
    run.write(REPORT, page.encode())
    return run.path / REPORT


def _shown_tasks(summary: Summary, reasons: Mapping[str, str]) -> list[str]:
    """Return the tasks of the page: those that the network predicts; the 18 classes only if a row has all labels."""
    has_rows = any(map(sum, summary["confusion"]["class"]))
    return [task for task in TASKS if reasons.get(task) != NOT_TRAINED and (task != "class" or has_rows)]


def _from_here(path: Path) -> str:
    """Return a path relative to the current folder if it lies below it, else the whole path."""
    path, here = path.resolve(), Path.cwd().resolve()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _task(task: str, summary: Summary, reasons: Mapping[str, str], cuts: AgeCuts, val: pd.DataFrame) -> dict[str, Any]:
    """Return the values of a task: the reason if it is not measurable, else scores, classes, and confusion table.

    `at_least` is the bound of the accuracy if none of the photos of `val` is wrong, else None.
    """
    values: dict[str, Any] = {"name": task, "title": TASK_TITLES[task], "reason": reasons.get(task, "")}
    if values["reason"]:
        return values
    prefix = "" if task == "class" else f"{task}_"
    chart = confusion_chart(summary["confusion"][task], task_labels(task, cuts), PAGE)
    return values | {
        "f1": summary["scores"][f"{prefix}f1"],
        "f1_interval": summary["intervals"][f"{prefix}f1"],
        "accuracy": summary["scores"][f"{prefix}accuracy"],
        "accuracy_interval": summary["intervals"][f"{prefix}accuracy"],
        "at_least": _at_least(task, val) if summary["scores"][f"{prefix}accuracy"] == 1 else None,
        "labels": summary["tasks"][task],
        "confusion": to_svg(chart, f"confusion-{task}", _LARGE_TABLE_PX if task == "class" else _SMALL_TABLE_PX),
    }


def _at_least(task: str, val: pd.DataFrame) -> float:
    """Return the accuracy exceeded with 95 % confidence if none of the photos with a label of the task is wrong."""
    known = labels_in(val) != UNKNOWN
    rows = known.all(1) if task == "class" else known[:, LABEL_TASKS.index(task)]
    return accuracy_without_error(val.loc[rows, "person_id"].nunique())


def _columns(reasons: Mapping[str, str], headline: str | None) -> list[tuple[str, str]]:
    """Return title and name of the scores in the table of real and synthetic rows."""
    whole = [("macro F1", "f1"), ("accuracy", "accuracy")] if "class" not in reasons else []
    whole += [("mean F1", "tasks_f1")] if headline == "tasks_f1" else []
    tasks = [task for task in LABEL_TASKS if task not in reasons]
    only = [(f"{task} accuracy", f"{task}_accuracy") for task in tasks if not whole]
    return [*whole, *((f"{task} F1", f"{task}_f1") for task in tasks), *only]


def _partly_labelled(predictions: pd.DataFrame, tasks: Sequence[str], has_classes: bool) -> dict[str, dict[str, int]]:
    """Return the number of labelled images of each task, if one of the tasks has no label in some of the images."""
    labels, split = labels_in(predictions), predictions["split"].to_numpy()
    known = {task: labels[:, LABEL_TASKS.index(task)] != UNKNOWN for task in tasks}
    if all(of_task.all() for of_task in known.values()):
        return {}
    known |= {"class": np.all(list(known.values()), axis=0)} if has_classes else {}
    return {
        task: {name: int((of_task & (split == name)).sum()) for name in ("train", "val")}
        | {f"all_{name}": int((split == name).sum()) for name in ("train", "val")}
        for task, of_task in known.items()
    }


def _counts(summary: Summary, tasks: Sequence[str], has_classes: bool) -> list[dict[str, Any]]:
    """Return the rows of the table of images: of the 18 classes, or of the labels of each task that is trained.

    `start` marks the rows that begin a group.
    """
    if has_classes:
        return [row | {"start": index and index % 6 == 0} for index, row in enumerate(summary["rows_by_class"])]
    return [
        row | {"start": index == 0 and task != tasks[0]}
        for task in tasks
        for index, row in enumerate(_with_images(summary["rows_by_label"][task]))
    ]


def _with_images(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the labels that have an image."""
    return [row for row in rows if any(row[f"{split}_{kind}"] for split in ("train", "val") for kind in KINDS)]


def _metric(run: Run) -> str:
    """Return the name of the score that chose the best epoch, for display."""
    name = run.settings().get("optim", {}).get("metric", "f1")
    return score_title(name) if name.endswith("f1") else name.replace("_", " ")


def _curves(history: Mapping[str, Sequence[float]], best: int, headline: str | None) -> list[dict[str, str]]:
    """Return the learning curves that the history has; without the 18 classes, the first is that of the main score."""
    charts = dict(LEARNING_CURVES)
    if headline not in (None, "f1"):
        lines = {"val": f"val_{headline}", "train": f"train_{headline}"}
        by_task = {} if headline != "tasks_f1" else {name: charts[name] for name in charts if "task" in name}
        title = score_title(headline)
        charts = {title[0].upper() + title[1:]: lines, **by_task, "Loss": charts["Loss"]}
    curves: list[dict[str, str]] = []
    for title, columns in charts.items():
        chart = learning_curve(history, columns, PAGE, best)
        if chart is not None:
            curves.append({"title": title, "svg": to_svg(chart, f"curve-{len(curves)}", _CURVE_PX)})
    return curves


def _age_tables(summary: Summary, reasons: Mapping[str, str], cuts: AgeCuts) -> list[dict[str, Any]]:
    """Return tables of the accuracy of ages by mask state, and by gender, of those that occur."""
    tables = []
    for task, title, names in (("mask", "Age class by mask state", MASKS), ("gender", "Age class by gender", GENDERS)):
        cells = summary[f"age_by_{task}"]
        used = [index for index in range(len(names)) if any(row[index]["rows"] for row in cells)]
        if used and "age" not in reasons and reasons.get(task) != NOT_TRAINED:
            rows = [
                {"name": name, "cells": [row[index] for index in used]}
                for name, row in zip(cuts.display_names, cells, strict=True)
                if not reasons or any(cell["rows"] for cell in row)
            ]
            tables.append({"title": title, "columns": [names[index] for index in used], "rows": rows})
    return tables


def _mistakes(predictions: pd.DataFrame, cuts: AgeCuts, store: Store, tasks: Sequence[str]) -> list[dict[str, Any]]:
    """Return a card for each of the worst mistakes; `image` is None if the photo cannot be read."""
    cards = []
    worst = worst_mistakes(predictions, N_MISTAKES, tasks)
    labels, found = labels_in(worst), labels_of_class(worst["predicted"].to_numpy(np.int64))
    for row, given, predicted in zip(worst.to_dict("records"), labels.tolist(), found.tolist(), strict=True):
        card: dict[str, Any] = {str(name): value for name, value in row.items()}
        card["labels"] = [
            {
                "labelled": NO_VALUE if given[i] == UNKNOWN else label_names(task, cuts)[given[i]],
                "predicted": label_names(task, cuts)[predicted[i]],
                "wrong": given[i] not in (UNKNOWN, predicted[i]),
            }
            for i, task in enumerate(LABEL_TASKS)
            if task in tasks
        ]
        card["image"] = thumbnail_url(store, card, *_MISTAKE_PX)
        cards.append(card)
    return cards
