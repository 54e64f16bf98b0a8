"""The commands of the job queue."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml

from data_manifests.errors import ConfigError, StageError
from data_manifests.versions.store import Store
from tests.support.train_drawn import write_people
from tests.support.train_jobs import (
    queue_command,
    tiny_config,
)
from train.cli.queue import age_text, table_lines
from train.queue.job_store import Job, open_job_store
from train.queue.worker import command_of
from train.settings import load_train_settings


def test_add_checks_the_command_and_fixes_its_versions(store: Store) -> None:
    write_people(store, train=6, val=6)
    config = tiny_config(store, 2)
    added = queue_command(store, "", "add", "--tries", "1", "fit", "drawn", "--config", str(config), "seed=4", "--once")
    assert added.exit_code == 0, added.output
    write_people(store, train=12, val=6)  # a newer version and a changed file
    config.write_text("optim: {epochs: 99}")
    (job,) = open_job_store(store.workspace).jobs()
    kept = store.workspace.resolve() / "queue" / "1" / "config.yaml"
    assert job.words == ("fit", "drawn@1", "--config", str(kept), "seed=4", "--once")
    assert yaml.safe_load(kept.read_text())["optim"]["epochs"] == 2
    assert job.tries == 1
    compared = queue_command(store, "", "add", "compare", "drawn", "drawn@1", "--val", "drawn", "optim.epochs=1")
    assert compared.exit_code == 0, compared.output
    expected = ("compare", "drawn@2", "drawn@1", "--val", "drawn@2", "optim.epochs=1")
    assert open_job_store(store.workspace).job(2).words == expected


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        (["fit", "nobody"], Exception, r"manifest 'nobody' is not in"),
        (["fti", "drawn"], ConfigError, r"command must be one of \{.*fit.*\}\. Got 'fti' instead"),
        (["queue", "work"], ConfigError, "Got 'queue' instead"),
        (["fit", "drawn", "optim.lrr=1"], ConfigError, r"Got 'optim\.lrr' instead"),
        (["fit", "drawn", "--onec"], None, "No such option"),
    ],
)
def test_an_invalid_command_is_refused_when_added(
    store: Store, words: list[str], kind: type[Exception] | None, message: str
) -> None:
    write_people(store, train=6, val=6)
    result = queue_command(store, "", "add", *words)
    assert result.exit_code != 0
    text = result.output if kind is None else str(result.exception)
    assert re.search(message, text), text
    assert kind is None or isinstance(result.exception, kind)
    assert open_job_store(store.workspace).jobs() == []


def test_only_jobs_in_a_fitting_state_are_cancelled_or_retried(store: Store) -> None:
    job_store = open_job_store(store.workspace)
    job_store.add(("report", "a"), tries=3)
    assert "job 1 is waiting" in str(queue_command(store, "", "retry", "1").exception)
    assert queue_command(store, "", "cancel", "1").output.splitlines()[0] == "job 1: cancelled"
    assert "job 1 has ended already: cancelled" in str(queue_command(store, "", "cancel", "1").exception)
    assert queue_command(store, "", "retry", "1").output.startswith("job 1: attempt 2 is waiting")
    assert job_store.job(1).state == "waiting"
    assert "there is no job 7 (known: 1)" in str(queue_command(store, "", "cancel", "7").exception)


def test_an_unreachable_database_is_one_line(store: Store) -> None:
    error = queue_command(store, "redis://127.0.0.1:1/0", "list").exception
    assert isinstance(error, StageError)
    assert "redis://127.0.0.1:1/0 does not answer" in str(error)
    assert str(error).endswith("Start it with: redis-server")
    assert "\n" not in str(error)
    with pytest.raises(ConfigError, match=r"Got 'mysql://x' instead"):
        open_job_store(store.workspace, "mysql://x")
    (store.workspace / "queue").mkdir(parents=True)
    (store.workspace / "queue" / "queue.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(StageError, match="file is not a database"):
        open_job_store(store.workspace)


def test_the_table() -> None:
    jobs = [
        Job(7, ("fit", "a@1"), 1, 3, 0.0, 1, "running", since=1000.0, seen=4590.0),
        Job(8, ("fit", "b@1"), 1, 3, 0.0, 2, "failed", since=4000.0, reason="the loss became nan"),
        Job(9, ("fit", "c@1"), 1, 3, 0.0, 1, "running", since=1000.0, seen=4000.0),
    ]
    seen = {"runs": 1, "run": "ws/runs/a-0001", "epoch": 3, "epochs": 20, "val_f1": 0.51234}
    lines = table_lines(jobs, {7: seen, 8: {"runs": 0}, 9: seen | {"runs": 3}}, now=4600.0)
    assert lines[1].split() == ["7", "running", "1", "h", "1/3", "a-0001", "epoch", "3/20", "F1", "0.512", "fit", "a@1"]
    assert lines[2].endswith("fit b@1  [the loss became nan]")
    assert "running? (quiet for 10 min)" in lines[3]
    assert "a-0001 +2" in lines[3]
    assert [age_text(seconds) for seconds in (-3, 59, 90, 7300, 200000)] == ["0 s", "59 s", "1 min", "2 h", "2 d"]


def test_several_processes_are_started_by_torchrun(store: Store) -> None:
    words = command_of(Job(1, ("fit", "a@1", "seed=2"), 2, 3, 0.0, 1, "running", 0.0), store)
    expected = "-m torch.distributed.run --standalone --nproc-per-node 2 -m train fit a@1 seed=2"
    assert words == [sys.executable, *expected.split()]


def test_a_variant_of_a_settings_file_is_copied_with_its_file(store: Store) -> None:
    write_people(store, train=6, val=6)
    config = tiny_config(store, 2)
    config.write_text(config.read_text() + "\nvariants: {long: {optim: {epochs: 50}}}\n")
    added = queue_command(store, "", "add", "fit", "drawn", "--config", f"{config}#long")
    assert added.exit_code == 0, added.output
    kept = open_job_store(store.workspace).job(1).words[-1]
    assert kept.endswith("config.yaml#long")
    assert load_train_settings(Path(kept)).optim.epochs == 50
