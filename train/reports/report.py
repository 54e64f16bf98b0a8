"""The report of a run: one HTML file with its images inside, light or dark as the reader's system is.

It is made from the files of the run's folder; the store gives only the photos of the worst mistakes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts, split_class_id
from data_manifests.versions import Store
from pipeline.runs import REPORT, Run
from reporting import html
from reporting.charts import LEARNING_CURVES, learning_curve, to_svg
from reporting.confusion import confusion_chart
from reporting.mistakes import worst_mistakes
from reporting.tables import TASK_TITLES, task_labels
from reporting.theme import PAGE
from reporting.thumbnails import thumbnail_url
from train.evaluation import TASKS
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
    correct = int(np.trace(np.array(summary["confusion"]["class"])))
    page = render(
        "report.html.j2",
        about=about,
        summary=summary,
        settings=run.settings(),
        tasks=[_task(task, summary, cuts) for task in TASKS],
        parts=summary["parts"],
        curves=_curves(history, about["best_epoch"]),
        epochs=len(history["epoch"]),
        seconds=int(sum(history["seconds"])),
        ages_table=_ages(summary, cuts),
        masks=MASKS,
        genders=GENDERS,
        mistakes=_mistakes(predictions, cuts, store),
        n_mistakes=sum(int(row["rows"]) for row in summary["tasks"]["class"]) - correct,
        most_rows=max(row["train_real"] + row["train_synthetic"] for row in summary["rows_by_class"]) or 1,
    )
    run.write(REPORT, page.encode())
    return run.path / REPORT


def _task(task: str, summary: Summary, cuts: AgeCuts) -> dict[str, Any]:
    """Return the values of a task: scores with intervals, its classes, its confusion table."""
    prefix = "" if task == "class" else f"{task}_"
    chart = confusion_chart(summary["confusion"][task], task_labels(task, cuts), PAGE)
    return {
        "name": task,
        "title": TASK_TITLES[task],
        "f1": summary["scores"][f"{prefix}f1"],
        "f1_interval": summary["intervals"][f"{prefix}f1"],
        "accuracy": summary["scores"][f"{prefix}accuracy"],
        "accuracy_interval": summary["intervals"][f"{prefix}accuracy"],
        "labels": summary["tasks"][task],
        "confusion": to_svg(chart, f"confusion-{task}", _LARGE_TABLE_PX if task == "class" else _SMALL_TABLE_PX),
    }


def _curves(history: Mapping[str, Sequence[float]], best: int) -> list[dict[str, str]]:
    curves: list[dict[str, str]] = []
    for title, columns in LEARNING_CURVES.items():
        chart = learning_curve(history, columns, PAGE, best)
        if chart is not None:
            curves.append({"title": title, "svg": to_svg(chart, f"curve-{len(curves)}", _CURVE_PX)})
    return curves


def _ages(summary: Summary, cuts: AgeCuts) -> list[dict[str, Any]]:
    """Return the rows of the table of ages: cells by mask state, and by gender."""
    rows = zip(cuts.display_names, summary["age_by_mask"], summary["age_by_gender"], strict=True)
    return [{"name": name, "masks": masks, "genders": genders} for name, masks, genders in rows]


def _mistakes(predictions: pd.DataFrame, cuts: AgeCuts, store: Store) -> list[dict[str, Any]]:
    """Return a card for each of the worst mistakes; `image` is None if the photo cannot be read."""
    cards = []
    for row in worst_mistakes(predictions, N_MISTAKES).to_dict("records"):
        names = (MASKS, GENDERS, cuts.names)
        labelled, predicted = (split_class_id(np.asarray(row[key])) for key in ("target", "predicted"))
        card: dict[str, Any] = {str(name): value for name, value in row.items()}
        card["labels"] = [
            {"labelled": kind[t], "predicted": kind[p], "wrong": t != p}
            for kind, t, p in zip(names, labelled, predicted, strict=True)
        ]
        card["image"] = thumbnail_url(store, card, *_MISTAKE_PX)
        cards.append(card)
    return cards
