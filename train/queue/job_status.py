"""The state of a job in the workspace: its log, its runs, its last epoch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from data_manifests.versions import Store
from pipeline.runs import METRICS, Run, list_runs

JOB_VARIABLE = "TRAIN_QUEUE_JOB"  # environment variable of a job's process: the number of the job


def job_of_this_process() -> dict[str, int]:
    """Return the entry of run.json that names the job of this process; empty outside of the queue."""
    return {"job": int(os.environ[JOB_VARIABLE])} if JOB_VARIABLE in os.environ else {}


def runs_of_job(store: Store, job_id: int) -> list[Run]:
    """Return the runs that a job started or resumed, the newest last."""
    return [run for run in reversed(list_runs(store)) if run.about_or_empty().get("job") == job_id]


def progress_of(store: Store, job_id: int) -> dict[str, Any]:
    """Return `runs`, their number; of the newest one its folder `run`, and `epoch`, `epochs` and its score once known.

    The score is `val_f1` or, where that is not measurable, that of `optim.metric`, such as `val_mask_f1`.
    """
    runs = runs_of_job(store, job_id)
    if not runs:
        return {"runs": 0}
    newest = runs[-1]
    progress: dict[str, Any] = {"runs": len(runs), "run": newest.path.as_posix()}
    if not newest.has(METRICS):
        return progress
    last = {name: values[-1] for name, values in newest.history().items()}
    optim = newest.settings()["optim"]
    progress |= {"epoch": int(last["epoch"]), "epochs": optim["epochs"]}
    names = [name for name in ("val_f1", f"val_{optim['metric']}") if name in last]  # a run on all rows has no score
    return progress | ({names[0]: last[names[0]]} if names else {})


def log_of(store: Store, job_id: int) -> Path:
    """Return the log of a job, which holds all its attempts in order."""
    return store.workspace / "queue" / str(job_id) / "log.txt"
