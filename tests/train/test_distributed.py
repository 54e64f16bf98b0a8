"""Two processes started by torchrun compute what one process computes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
import yaml

from data_manifests.errors import ConfigError
from data_manifests.versions.store import Store
from pipeline.runs import Run, find_run
from tests.support.train_drawn import tiny_settings, write_people
from tests.support.train_jobs import ROOT
from train.engine.training_run import train_and_report
from train.process_group import SINGLE_PROCESS, ProcessGroup, ShardedBatches, process_group_for
from train.settings import TrainSettings

pytestmark = [pytest.mark.workers, pytest.mark.slow]

# Two processes sum in another order, so digits differ from about the sixth on, and more with every update; in bf16,
# which keeps three digits, from the third on.
GRADIENT_TOLERANCE = {"full": 1e-4, "bf16": 0.1}  # of the largest gradient, after two batches
FIRST_LOSS_TOLERANCE = {"full": 1e-5, "bf16": 1e-3}  # relative
LOSS_TOLERANCE = 1e-3  # relative, over two epochs of SGD
PROBABILITY_TOLERANCE = 5e-3  # of each class of each row afterwards


def start(store: Store, *words: str) -> subprocess.Popen[str]:
    """Start a module under torchrun in two processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    environment = os.environ | {"WORKSPACE": str(store.workspace), "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    return subprocess.Popen(
        [sys.executable, *launcher, *words], cwd=ROOT, env=environment, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def torchrun(store: Store, *words: str) -> list[str]:
    """Run it to its end; return the lines that it prints."""
    process = start(store, *words)
    output, errors = process.communicate()
    assert process.returncode == 0, errors[-3000:]
    return output.splitlines()


@pytest.mark.skipif(os.name == "nt", reason="torchrun with gloo is not for Windows")
def test_two_processes_compute_the_same_update(store: Store) -> None:
    write_people(store, train=25, val=7)  # 75 and 21 pictures in batches of 16: the last ones have 11 and 5
    full = {"optim": {"precision": "full"}}
    sections: list[dict[str, Any]] = [
        full,  # batch normalisation
        {"optim": {"precision": "bf16"}},
        full | {"loss": {"terms": {"f1": 1, "focal": 1}, "weighting": "inverse"}},  # losses over the whole batch
        full | {"model": {"backbone": "test_vit"}, "data": {"size": [64, 64]}},
        full | {"model": {"head": "gendered_age", "networks": "separate", "soft_sharing": 0.1}},
    ]
    lines = torchrun(
        store, "tests.support.train_together", str(store.workspace), *(json.dumps(one) for one in sections)
    )
    found = [json.loads(line) for line in lines if line.startswith("{")]
    assert len(found) == len(sections)
    for one, section in zip(found, sections, strict=True):
        precision = section["optim"]["precision"]
        assert one["size"] == 2
        assert one["gradients"] > 40
        assert one["loss"] < FIRST_LOSS_TOLERANCE[precision]
        assert one["gradient"] < GRADIENT_TOLERANCE[precision]
        assert one["buffer"] < GRADIENT_TOLERANCE[precision]  # running means and variances
        assert one["validation"]  # every row once, in order


def settings_of_two() -> TrainSettings:
    optim = {"name": "sgd", "lr": 0.01, "epochs": 2, "accumulate": 2, "ema": 0.5, "precision": "full"}
    return tiny_settings(data={"augment": {"flip": 0.5, "crop": 0.2}}, optim=optim, tracker="none")


def test_two_processes_train_the_same_run(store: Store) -> None:
    torch.set_num_threads(1)
    write_people(store, train=25, val=7)
    settings = settings_of_two()
    alone = train_and_report(store, "drawn", settings, once=False, echo=lambda line: None)
    config = store.workspace.parent / "two.yaml"
    config.write_text(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False))
    lines = torchrun(store, "train", "fit", "drawn", "--config", str(config))
    assert sum("training on drawn@1" in line for line in lines) == 1  # only the main process prints
    together = find_run(store, "drawn-0002")
    assert not (store.workspace / "runs" / "drawn-0003").exists()
    assert together.about()["state"] == "finished"
    assert (together.path / "report.html").is_file()

    one, two = (pd.read_csv(run.path / "metrics.csv") for run in (alone, together))
    assert len(one) == len(two) == 2
    for part in ("train", "val"):
        assert np.allclose(one[f"{part}_loss"], two[f"{part}_loss"], rtol=LOSS_TOLERANCE), (one, two)
    one, two = (_predictions(run) for run in (alone, together))
    assert list(one.index) == list(two.index)  # every row once
    names = [name for name in one if name.startswith("p_")]
    assert np.abs(one[names].to_numpy() - two[names].to_numpy()).max() < PROBABILITY_TOLERANCE


def test_two_killed_processes_resume_to_the_same_result(store: Store) -> None:
    write_people(store, train=25, val=7)
    settings = settings_of_two()
    settings = settings.model_copy(update={"optim": settings.optim.model_copy(update={"epochs": 4})})
    config = store.workspace.parent / "four.yaml"
    config.write_text(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False))
    torchrun(store, "train", "fit", "drawn", "--config", str(config))
    whole = find_run(store, "drawn-0001")
    process = start(store, "train", "fit", "drawn", "--config", str(config))
    metrics = store.workspace / "runs" / "drawn-0002" / "metrics.csv"  # written after last.pt
    while not metrics.exists() and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)  # torchrun
    for worker in psutil.process_iter(["cmdline"]):  # and its workers, each in its own session
        if str(config) in (worker.info["cmdline"] or []):
            worker.kill()
    process.communicate()
    broken = find_run(store, "drawn-0002")
    assert broken.about()["state"] == "started"
    assert len(pd.read_csv(broken.path / "metrics.csv")) < 4
    torchrun(store, "train", "resume", "drawn-0002")
    assert broken.about()["state"] == "finished"
    one, two = (pd.read_csv(run.path / "metrics.csv").drop(columns="seconds") for run in (whole, broken))
    pd.testing.assert_frame_equal(one, two)
    pd.testing.assert_frame_equal(_predictions(whole), _predictions(broken))


def _predictions(run: Run) -> pd.DataFrame:
    return pd.read_parquet(run.path / "predictions.parquet").set_index("sample_id")


def test_a_batch_is_divided_without_loss() -> None:
    def batches(rank: int, size: int) -> list[list[int]]:
        team = ProcessGroup()
        team.rank, team.size = rank, size
        return list(ShardedBatches(range(11), 4, False, team))  # type: ignore[arg-type]

    assert batches(0, 1) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert batches(0, 2) == [[0, 2], [4, 6], [8, 10]]
    assert batches(1, 2) == [[1, 3], [5, 7], [9]]
    assert batches(3, 4) == [[3], [7], []]  # the last batch has no row for this process


def test_one_process_is_a_group_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert process_group_for("cpu") is SINGLE_PROCESS
    assert SINGLE_PROCESS.is_main
    share = torch.rand(3, 2)
    assert SINGLE_PROCESS.gather(share)[0] is share
    assert SINGLE_PROCESS.sum(7) == 7
    assert SINGLE_PROCESS.run_on_main(lambda: 5) == 5
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"device must be one of \{auto, cpu, cuda\} for several processes"):
        process_group_for("mps")
