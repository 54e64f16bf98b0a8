"""Where the epochs of a run can be watched. `metrics.csv` is written whatever is chosen (train/engine/loop.py).

tensorboard   event files in the run's folder: tensorboard --logdir workspace/runs
wandb         Weights & Biases; without a key, or with WANDB_MODE=offline, kept in the run's folder for `wandb sync`
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
from train.engine.loop import Progress, Row
from train.runs import Run
from train.settings import TrainSettings

Log = Callable[[Row], None]
PROJECT = "face-curation"  # unless WANDB_PROJECT names another


@contextmanager
def tracking(run: Run, settings: TrainSettings) -> Iterator[Callable[[Progress], None]]:
    """What to call after each epoch. Raises ConfigError for an unknown name, BackendError if it cannot start."""
    if settings.tracker not in TRACKERS:
        raise ConfigError(must_be_one_of("tracker", TRACKERS, settings.tracker))
    with TRACKERS[settings.tracker](run, settings) as log:
        yield lambda progress: log(named(progress.history[-1]))


def named(row: Row) -> Row:
    """A line of metrics.csv with names that trackers group: val_f1 → f1/val, so that one chart shows both parts."""
    return {"/".join(reversed(name.split("_", 1))) if _is_score(name) else name: row[name] for name in row}


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
        if not writers:  # now that the first epoch is known: a resumed run hides what an interrupted epoch left
            folder = run.path / "tensorboard"
            _wait_for_a_later_second(folder)
            writers.append(SummaryWriter(str(folder), purge_step=step))
        for name, value in row.items():
            writers[0].add_scalar(name, value, step)
        writers[0].flush()

    try:
        yield log
    finally:
        for writer in writers:
            writer.close()


def _wait_for_a_later_second(folder: Path) -> None:
    """Event files are read in the order of their names, `events.out.tfevents.<second>.<host>.<process>.<count>`.
    Of two that one second names alike, 10 is read before 9, and what is purged comes back."""
    while any(int(file.name.split(".")[3]) == int(time.time()) for file in folder.glob("events.out.tfevents.*")):
        time.sleep(0.05)


@contextmanager
def _wandb(run: Run, settings: TrainSettings) -> Iterator[Log]:
    try:
        import wandb
    except ImportError:
        raise BackendError("tracker=wandb needs the package wandb. Run: make setup EXTRAS=wandb") from None
    about = run.about()
    # without a key it would stop and ask for one
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
    ended_well = False
    try:
        yield lambda row: session.log(row, step=int(row["epoch"]))
        ended_well = True
    finally:
        session.finish(exit_code=0 if ended_well else 1)


# name → what opens it for a run
TRACKERS: dict[str, Callable[[Run, TrainSettings], AbstractContextManager[Log]]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "none": _none,
}
