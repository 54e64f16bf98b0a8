"""What a job has written so far: its log, its runs, its last epoch. Read from the workspace."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

from data_manifests.errors import StageError
from data_manifests.versions import Store
from train.runs import Run

JOB_VARIABLE = "TRAIN_QUEUE_JOB"  # in the environment of a job's process: its number


def job_of_this_process() -> dict[str, int]:
    """What a run notes down of the job that it belongs to; nothing outside of the queue."""
    return {"job": int(os.environ[JOB_VARIABLE])} if JOB_VARIABLE in os.environ else {}


def runs_of_job(store: Store, job_id: int) -> list[Run]:
    """The runs that a job began or went on with, the newest last."""
    found = []
    for file in (store.workspace / "runs").glob("*/run.json"):
        run = Run(file.parent)
        try:
            about = run.about()
        except StageError:  # of a run that is just being made
            continue
        if about.get("job") == job_id:
            found.append((about["created"], run.name, run))
    return [run for _, _, run in sorted(found, key=lambda entry: entry[:2])]


def progress_of(store: Store, job_id: int) -> dict[str, Any]:
    """`runs`, how many there are; of the newest its folder `run`, and `epoch`, `epochs`, `val_f1` once known."""
    runs = runs_of_job(store, job_id)
    if not runs:
        return {"runs": 0}
    about: dict[str, Any] = {"runs": len(runs), "run": runs[-1].path.as_posix()}
    file = runs[-1].path / "metrics.csv"
    if not file.is_file():
        return about
    with file.open(newline="") as lines:
        last = list(csv.DictReader(lines))[-1]
    epochs = runs[-1].raw_settings()["optim"]["epochs"]
    return about | {"epoch": int(last["epoch"]), "epochs": epochs, "val_f1": float(last["val_f1"])}


def log_of(store: Store, job_id: int) -> Path:
    """The log of a job, all its attempts one after the other."""
    return store.workspace / "queue" / str(job_id) / "log.txt"
