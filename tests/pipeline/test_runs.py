"""Run folders as train, the app and the job queue read them."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from data_manifests.errors import StageError
from data_manifests.versions.store import Store
from pipeline.runs import PROBABILITIES, Run, find_run, list_runs


def write_run(store: Store, name: str, **about: object) -> Run:
    folder = store.workspace / "runs" / name
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(about))
    return Run(folder)


def test_runs_are_listed_newest_first_also_with_a_broken_one(store: Store) -> None:
    assert list_runs(store) == []
    write_run(store, "faces-0001", created="2026-01-01", manifest="faces@1", state="finished")
    write_run(store, "faces-0002", created="2026-01-02", state="failed")
    broken = write_run(store, "faces-0003")
    (broken.path / "run.json").write_bytes(b"\xff[")
    (store.workspace / "runs" / "folds-1").mkdir()
    assert [(run.name, run.manifest, run.state) for run in list_runs(store)] == [
        ("faces-0002", "", "failed"), ("faces-0001", "faces@1", "finished"), ("faces-0003", "", "unreadable"),
    ]  # fmt: skip


def test_a_run_that_writes_nothing_is_interrupted(store: Store) -> None:
    run = write_run(store, "faces-0001", state="started")
    assert run.state == "running"
    os.utime(run.path / "run.json", (time.time() - 3600,) * 2)
    assert run.state == "interrupted"
    assert not run.is_finished


def test_a_lock_that_is_held_is_seen(store: Store) -> None:
    run = write_run(store, "faces-0001", state="started")
    assert run.is_free()
    with Run(run.path).lock:
        assert not run.is_free()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("scores", r"has no scores\.json yet"),
        ("history", r"has no metrics\.csv yet"),
        ("predictions", "has no predictions yet"),
    ],
)
def test_a_missing_file_is_named(store: Store, name: str, message: str) -> None:
    run = write_run(store, "faces-0001", state="started")
    with pytest.raises(StageError, match=message):
        getattr(run, name)()


def test_settings_and_history_of_any_age_are_read(store: Store) -> None:
    run = write_run(store, "faces-0001", state="finished")
    assert run.settings() == {}
    run.write("config.yaml", b"optim: {a_setting_of_old: 1}")
    assert run.settings() == {"optim": {"a_setting_of_old": 1}}
    run.write("metrics.csv", b"epoch,train_loss\n1,2.5\n2,1.5\n")
    assert run.history() == {"epoch": [1, 2], "train_loss": [2.5, 1.5]}


def test_runs_of_the_first_version_open() -> None:
    store = Store(Path(__file__).resolve().parents[1] / "fixtures" / "workspace_0_1")
    runs = {run.name: run for run in list_runs(store)}
    assert sorted(runs) == [f"faces-{serial:04d}" for serial in (1, 2, 3, 4)]
    assert find_run(store, "faces-0001") == runs["faces-0001"]
    for run in runs.values():
        assert run.manifest.startswith("faces@")
        assert run.settings()["optim"]["epochs"]
    done = [run for run in runs.values() if run.is_finished]
    assert len(done) == 3
    for run in done:
        predictions = run.predictions(["split", *PROBABILITIES])
        assert run.scores()["rows"] == predictions["split"].to_pylist().count("val")
        assert max(run.history()["val_f1"]) == pytest.approx(run.scores()["scores"]["f1"], abs=1e-5)
