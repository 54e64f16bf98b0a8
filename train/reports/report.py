"""The report of a run: one HTML file with its pictures inside, light or dark as the reader's system is.

It is made from what lies in the run's folder alone; only the photos of the worst mistakes are read from the store.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from data_manifests.errors import StageError
from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts, split_class_id
from data_manifests.versions import Store
from pipeline.photos import load_rgb
from train.evaluation import TASKS
from train.reports.figures import line_chart
from train.reports.pages import render
from train.reports.summary import Summary, label_names, summarise, worst_mistakes
from train.runs import Run

N_MISTAKES = 12
THUMBNAIL_PX = 224

_TASK_TITLES = {"class": "All 18 classes", "mask": "Mask", "gender": "Gender", "age": "Age class"}


def write_report(run: Run, store: Store) -> Path:
    """Write `report.html` into the run's folder. Raises StageError if the run did not finish."""
    about, summary = run.about(), run.read_json("scores.json")
    history = pd.read_csv(run.path / "metrics.csv")
    predictions = pd.read_parquet(run.path / "predictions.parquet")
    cuts = AgeCuts(*about["age_cuts"])
    if "age_by_gender" not in summary:  # an older version of the toolkit wrote it
        summary = summarise(predictions, cuts, about["seed"])
    filters: dict[str, Callable[..., str]] = {"score": _score, "count": "{:,}".format, "plain": _plain}
    page = render(
        "report.html.j2",
        filters,
        about=about,
        summary=summary,
        settings=run.settings().model_dump(mode="json"),
        tasks=[_task(task, summary, cuts) for task in TASKS],
        parts=summary["parts"],
        charts=_charts(history, about["best_epoch"]),
        epochs=len(history),
        seconds=int(history["seconds"].sum()),
        ages_table=_ages(summary, cuts),
        masks=MASKS,
        genders=GENDERS,
        mistakes=_mistakes(predictions, cuts, store),
        n_mistakes=sum(int(row["rows"]) for row in summary["tasks"]["class"]) - _hits(summary),
        most_rows=max(row["train_real"] + row["train_synthetic"] for row in summary["rows_by_class"]) or 1,
    )
    run.write("report.html", page.encode())
    return run.path / "report.html"


def _score(value: float | None) -> str:
    """Three digits, or a dash where there was nothing to judge."""
    return "–" if value is None else f"{value:.3f}"


def _plain(value: object) -> str:
    """A parameter without the quotes and brackets of Python."""
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    if isinstance(value, dict):
        return "{" + " ".join(f"{key}={_plain(part)}" for key, part in value.items()) + "}"
    return str(value)


def _hits(summary: Summary) -> int:
    return sum(row[index] for index, row in enumerate(summary["confusion"]["class"]))


def _task(task: str, summary: Summary, cuts: AgeCuts) -> dict[str, Any]:
    """What the page shows of a task: scores with intervals, its classes, its confusion table with shares."""
    prefix = "" if task == "class" else f"{task}_"
    return {
        "name": task,
        "title": _TASK_TITLES[task],
        "f1": summary["scores"][f"{prefix}f1"],
        "f1_interval": summary["intervals"][f"{prefix}f1"],
        "accuracy": summary["scores"][f"{prefix}accuracy"],
        "accuracy_interval": summary["intervals"][f"{prefix}accuracy"],
        "labels": summary["tasks"][task],
        "names": label_names(task, cuts),
        "confusion": [
            [{"count": count, "share": count / max(1, sum(row))} for count in row] for row in summary["confusion"][task]
        ],
    }


def _charts(history: pd.DataFrame, best: int) -> list[dict[str, str]]:
    def lines(**columns: str) -> dict[str, list[float]]:
        return {name: history[column].tolist() for name, column in columns.items()}

    tasks = lines(mask="val_mask_f1", gender="val_gender_f1", age="val_age_f1")
    return [
        {"title": "Macro F1, 18 classes", "svg": _f1_chart(lines(val="val_f1", train="train_f1"), best)},
        {"title": "Macro F1 on validation, by task", "svg": _f1_chart(tasks, best)},
        {
            "title": "Loss",
            "svg": line_chart(lines(val="val_loss", train="train_loss"), label="loss by epoch", best=best),
        },
    ]


def _f1_chart(series: dict[str, list[float]], best: int) -> str:
    return line_chart(series, label="macro F1 by epoch", top=1.0, best=best)


def _ages(summary: Summary, cuts: AgeCuts) -> list[dict[str, Any]]:
    """Rows of the table of ages: cells by mask state, and by gender."""
    both = zip(cuts.names, summary["age_by_mask"], summary["age_by_gender"], strict=True)
    return [{"name": name, "masks": masks, "genders": genders} for name, masks, genders in both]


def _mistakes(predictions: pd.DataFrame, cuts: AgeCuts, store: Store) -> list[dict[str, Any]]:
    worst = worst_mistakes(predictions, N_MISTAKES)
    columns = (
        "sample_id",
        "person_id",
        "root",
        "path",
        "sha256",
        "target",
        "predicted",
        "confidence",
        "truth",
        "is_synthetic",
    )
    cards = []
    for values in worst[list(columns)].to_dict("records"):
        row: dict[str, Any] = {str(name): value for name, value in values.items()}
        names = (MASKS, GENDERS, cuts.names)
        true, predicted = (split_class_id(np.asarray(row[key])) for key in ("target", "predicted"))
        words = zip(names, true, predicted, strict=True)
        row["words"] = [{"true": kind[t], "predicted": kind[p], "wrong": t != p} for kind, t, p in words]
        row["picture"] = _thumbnail(store, row["root"], row["path"])
        cards.append(row)
    return cards


def _thumbnail(store: Store, root: str, path: str) -> str | None:
    """A data URL of the picture, at most THUMBNAIL_PX high; None when the file is gone, which the page says."""
    try:
        image = load_rgb(store.file_of(root, path))
    except StageError:
        return None
    scale = min(1.0, THUMBNAIL_PX / image.shape[0])
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
