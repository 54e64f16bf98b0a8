"""Experiment trackers, by the setting `tracker`. `metrics.csv` is always written (train/engine/loop.py).

tensorboard   event files in the run's folder: tensorboard --logdir workspace/runs
wandb         Weights & Biases; without a key, or with WANDB_MODE=offline, files in the run's folder for `wandb sync`
none          the CSV alone
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from data_manifests.errors import BackendError, ConfigError, must_be_one_of
from pipeline.runs import Run
from train.engine.epoch_records import Row, TrainingProgress
from train.settings import TrainSettings

Log = Callable[[Row], None]
PROJECT = "face-curation"  # default of WANDB_PROJECT


@contextmanager
def tracking(run: Run, settings: TrainSettings) -> Iterator[Callable[[TrainingProgress], None]]:
    """Open the tracker of a run; yield a function to call after each epoch.

    Raises ConfigError for an unknown name, BackendError if the tracker cannot start.
    """
    if settings.tracker not in TRACKERS:
        raise ConfigError(must_be_one_of("tracker", TRACKERS, settings.tracker))
    with TRACKERS[settings.tracker](run, settings) as log:
        yield lambda progress: log(grouped_names(progress.history[-1]))


def grouped_names(row: Row) -> Row:
    """Rename the scores of a row so that trackers show both parts in one chart: val_f1 → f1/val.

    Scores that cannot be measured are left out.
    """
    named = {"/".join(reversed(name.split("_", 1))) if _is_score(name) else name: row[name] for name in row}
    return {name: value for name, value in named.items() if value is not None}


def _is_score(name: str) -> bool:
    return name.startswith(("train_", "val_"))


@contextmanager
def _none(run: Run, settings: TrainSettings) -> Iterator[Log]:
    yield lambda row: None


@contextmanager
def _tensorboard(run: Run, settings: TrainSettings) -> Iterator[Log]:
    from torch.utils.tensorboard.writer import SummaryWriter

    writers: list[SummaryWriter] = []

    def log(row: Row) -> None:
        step = int(row["epoch"])
        if not writers:  # opened at the first epoch logged: a resumed run purges the steps of an interrupted epoch
            folder = run.path / "tensorboard"
            _wait_for_next_second(folder)
            writers.append(SummaryWriter(str(folder), purge_step=step))
        for name, value in row.items():
            writers[0].add_scalar(name, value, step)
        writers[0].flush()

    try:
        yield log
    finally:
        for writer in writers:
            writer.close()


def _wait_for_next_second(folder: Path) -> None:
    """Wait until no event file of `folder` is named by the current second.

    TensorBoard reads files in the order of their names, `events.out.tfevents.<second>.<host>.<process>.<count>`. Within
    one second, count 10 sorts before 9, and purged steps would reappear.
    """
    while any(int(file.name.split(".")[3]) == int(time.time()) for file in folder.glob("events.out.tfevents.*")):
        time.sleep(0.05)


@contextmanager
def _wandb(run: Run, settings: TrainSettings) -> Iterator[Log]:
    try:
        import wandb
    except ImportError:
        raise BackendError("tracker=wandb needs the package wandb. Run: make setup EXTRAS=wandb") from None
    about = run.about()
    # without a key, wandb would prompt for one
    mode: Any = os.environ.get("WANDB_MODE") or ("online" if wandb.api.api_key else "offline")
    try:
        session = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=run.name,
            id=f"{run.name}-{about['content_hash'][:8]}",
            resume="allow",
            dir=run.path,
            mode=mode,
            settings=wandb.Settings(silent=True),
            config=settings.model_dump(mode="json") | {key: about[key] for key in ("manifest", "content_hash")},
        )
    except wandb.errors.Error as error:
        text = " ".join(str(error).split())[:160]
        raise BackendError(f"wandb did not start ({text}). Set WANDB_MODE=offline or tracker=none.") from None
    succeeded = False
    try:
        yield lambda row: session.log(row, step=int(row["epoch"]))
        succeeded = True
    finally:
        session.finish(exit_code=0 if succeeded else 1)


# name → context manager of a run that yields the log function
TRACKERS: dict[str, Callable[[Run, TrainSettings], AbstractContextManager[Log]]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "none": _none,
}
