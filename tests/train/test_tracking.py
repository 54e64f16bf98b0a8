"""Trackers, and repeating a run from its folder."""

from __future__ import annotations

import json
import sys

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from data_manifests.errors import BackendError, ConfigError
from data_manifests.versions.store import Store
from pipeline.runs import CONFIG, Run
from tests.support.train_drawn import tiny_settings, write_people
from tests.support.train_jobs import wait_for
from train.engine.loop import TrainingProgress
from train.engine.new_run import new_run
from train.engine.tracking import grouped_names, tracking
from train.engine.training_run import train_and_report
from train.settings import TrainSettings, load_train_settings


def row(epoch: int, f1: float) -> dict[str, float]:
    return {"epoch": epoch, "lr": 0.1, "train_f1": 1.0, "val_f1": f1, "val_mask_f1": 0.5, "seconds": 2.0}


def track(run: Run, settings: TrainSettings, *rows: dict[str, float]) -> None:
    with tracking(run, settings) as after_epoch:
        for one in rows:
            after_epoch(TrainingProgress(epoch=int(one["epoch"]), history=[one]))


def scalars(run: Run, name: str) -> dict[int, float]:
    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    return {event.step: event.value for event in events.Scalars(name)}


@pytest.fixture
def run(store: Store) -> Run:
    return new_run(store, write_people(store, train=2, val=1), tiny_settings())


def test_train_and_val_scores_share_a_chart() -> None:
    assert grouped_names(row(1, 0.25)) == {
        "epoch": 1, "lr": 0.1, "f1/train": 1.0, "f1/val": 0.25, "mask_f1/val": 0.5, "seconds": 2.0,
    }  # fmt: skip


def test_tensorboard_drops_an_interrupted_epoch(run: Run) -> None:
    settings = tiny_settings()
    assert settings.tracker == "tensorboard"
    track(run, settings, row(1, 0.25), row(2, 0.5), row(3, 0.125))
    assert scalars(run, "f1/val") == {1: 0.25, 2: 0.5, 3: 0.125}
    track(run, settings, row(3, 0.75))
    assert scalars(run, "f1/val") == {1: 0.25, 2: 0.5, 3: 0.75}
    seconds = [file.name.split(".")[3] for file in (run.path / "tensorboard").iterdir()]
    assert len(set(seconds)) == 2, "files of one second are read in the wrong order after nine writers of a process"


@pytest.mark.slow
def test_a_run_is_tracked_and_can_be_repeated_from_its_folder(store: Store) -> None:
    write_people(store, train=6, val=3)
    run = train_and_report(store, "drawn", tiny_settings(optim={"epochs": 2}), once=False, echo=lambda line: None)
    history = pd.read_csv(run.path / "metrics.csv")
    assert list(scalars(run, "f1/val").values()) == pytest.approx(history["val_f1"].tolist(), rel=1e-4)
    assert list(scalars(run, "loss/train")) == [1, 2]
    about = json.loads((run.path / "run.json").read_text())
    assert about["content_hash"] == store.version("drawn").content_hash
    assert about["transform"]["all"].startswith("resize to ")
    assert {"command", "seed", "tools", "history", "age_cuts"} <= set(about)
    assert load_train_settings(run.path / CONFIG) == tiny_settings(optim={"epochs": 2})


def test_none_writes_nothing_and_unknown_names_are_refused(run: Run) -> None:
    before = set(run.path.iterdir())
    track(run, tiny_settings(tracker="none"), row(1, 0.5))
    assert set(run.path.iterdir()) == before
    with pytest.raises(ConfigError, match=r"tracker must be one of \{tensorboard, wandb, none\}\. Got 'mlflow' inst"):
        track(run, tiny_settings(tracker="mlflow"))


@pytest.mark.slow
def test_wandb_needs_no_key(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(run.path / "none"))
    track(run, tiny_settings(tracker="wandb"), row(1, 0.25), row(2, 0.5))
    (kept,) = (run.path / "wandb").glob("offline-run-*/*.wandb")
    wait_for(lambda: b"f1/val" in kept.read_bytes(), "the service of wandb to write the file")  # a process of its own
    assert b"f1/val" in kept.read_bytes()


def test_a_missing_wandb_is_reported(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(BackendError, match=r"tracker=wandb needs the package wandb\. Run: make setup EXTRAS=wandb"):
        track(run, tiny_settings(tracker="wandb"))
