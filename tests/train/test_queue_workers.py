"""Workers and supervisors as real processes, some of which are killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from data_manifests.versions.store import Store
from tests.support.train_drawn import write_people
from tests.support.train_jobs import (
    ROOT,
    epochs_of,
    output_of,
    queue_command,
    start,
    tiny_config,
    wait_for,
)
from train.queue.job_status import log_of, runs_of_job
from train.queue.job_store import Job, open_job_store
from train.queue.supervisor import end_tree
from train.queue.worker import LeaseMonitor, command_of

pytestmark = [pytest.mark.workers, pytest.mark.slow]


def test_the_job_of_a_killed_worker_is_resumed(store: Store, url: str) -> None:
    write_people(store, train=24, val=6)
    epochs = 40
    added = queue_command(store, url, "add", "fit", "drawn", "--config", str(tiny_config(store, epochs)))
    assert added.exit_code == 0, added.output
    killed_worker = start(store.workspace, url, "work", "--lease", "2")
    wait_for(lambda: len(epochs_of(store, 1)) >= 2, "two epochs", killed_worker)
    trainers = psutil.Process(killed_worker.pid).children(recursive=True)
    assert trainers
    os.kill(killed_worker.pid, signal.SIGKILL)
    killed_worker.communicate()
    wait_for(lambda: not any(process.is_running() for process in trainers), "the end of the training process")
    done = len(epochs_of(store, 1))
    assert done < epochs, "the job ended before its worker was killed"
    assert open_job_store(store.workspace, url).job(1).state == "running"  # no worker has noticed yet

    output = output_of(start(store.workspace, url, "work", "--lease", "2", "--until-done"))
    job = open_job_store(store.workspace, url).job(1)
    assert (job.state, job.attempt) == ("finished", 2), output
    assert "job 1: lost (no heartbeat from" in output
    # the same run, every epoch once, the later ones by the second worker
    assert epochs_of(store, 1) == [str(epoch + 1) for epoch in range(epochs)]
    assert (runs_of_job(store, 1)[0].path / "report.html").is_file()
    log = log_of(store, 1).read_text()
    assert "attempt 1: " in log
    assert "resume drawn-0001" in log.split("attempt 2: ")[1]


def test_a_running_job_is_cancelled_and_a_stopped_worker_returns_its_job(store: Store) -> None:
    write_people(store, train=24, val=6)
    for _ in range(2):
        assert queue_command(store, "", "add", "fit", "drawn", "--config", str(tiny_config(store, 500))).exit_code == 0
    worker = start(store.workspace, "", "work", "--lease", "5")
    wait_for(lambda: len(epochs_of(store, 1)) >= 1, "an epoch of the first job", worker)
    assert re.search(r"epoch \d+/500 F1 [01]\.", queue_command(store, "", "list").output)
    cancelled_now = queue_command(store, "", "cancel", "1").output.splitlines()
    assert cancelled_now == ["job 1: cancelled; its process ends within seconds", "next: facecurate train queue list"]
    wait_for(lambda: len(epochs_of(store, 2)) >= 1, "an epoch of the second job", worker)
    worker.send_signal(signal.SIGTERM)
    output = output_of(worker)
    assert "job 1: stopped after" in output
    cancelled, lost = open_job_store(store.workspace).jobs()
    assert cancelled.state == "cancelled"
    assert len(epochs_of(store, 1)) < 500
    assert (lost.state, lost.reason) == ("lost", "its worker was stopped")
    recovered: list[str] = []
    LeaseMonitor(60).recover(
        open_job_store(store.workspace), recovered.append
    )  # at once, without waiting for the lease
    assert recovered == ["job 2: lost (its worker was stopped), attempt 2 of 3"]
    for job, run in ((1, "drawn-0001"), (2, "drawn-0002")):
        later = Job(job, ("fit", "drawn@1"), 1, 3, 0.0, attempt=2, state="running", since=0.0)
        assert command_of(later, store)[-2:] == ["resume", run]


@pytest.mark.redis
def test_two_workers_share_the_jobs_and_a_failure_has_a_reason(store: Store, redis_url: str) -> None:
    open_job_store(Path(), redis_url).huey.storage.flush_all()
    write_people(store, train=6, val=6)
    config = str(tiny_config(store, 1))
    for more in (["seed=1"], ["optim.name=sgd", "optim.lr=1e30"], ["seed=2"]):
        assert queue_command(store, redis_url, "add", "fit", "drawn", "--config", config, *more).exit_code == 0
    workers = [start(store.workspace, redis_url, "work", "--lease", "20", "--until-done") for _ in range(2)]
    output = [output_of(worker) for worker in workers]
    jobs = open_job_store(store.workspace, redis_url).jobs()
    assert [job.state for job in jobs] == ["finished", "failed", "finished"], output
    assert {job.attempt for job in jobs} == {1}  # a job that fails by itself is not retried
    assert len({job.worker for job in jobs}) == 2
    assert "the loss became" in jobs[1].reason
    assert "Lower optim.lr" in jobs[1].reason
    for job in jobs:  # each job once, with its own log and one run
        assert log_of(store, job.id).read_text().count("attempt") == 1
        assert len(runs_of_job(store, job.id)) == 1


# -- supervisor -----------------------------------------------------------------------------------------------------
SLEEP = "import time; time.sleep(600)"
STARTS_CHILD = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '{SLEEP}']); {SLEEP}"
IGNORES_SIGTERM = (
    f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('stubborn', flush=True); {SLEEP}"
)


def test_a_command_ends_with_its_owner_and_its_children() -> None:
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "train.queue.supervisor", sys.executable, "-c", STARTS_CHILD],
        cwd=ROOT,
        stdin=subprocess.PIPE,
    )
    root = psutil.Process(supervisor.pid)
    wait_for(lambda: len(root.children(recursive=True)) == 2, "two processes", supervisor)
    family = root.children(recursive=True)
    assert supervisor.stdin is not None
    supervisor.stdin.close()
    assert supervisor.wait(60) == 128 + signal.SIGTERM
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family)


def test_a_command_that_ignores_sigterm_is_killed() -> None:
    stubborn = subprocess.Popen([sys.executable, "-c", IGNORES_SIGTERM], stdout=subprocess.PIPE)
    assert stubborn.stdout is not None
    assert stubborn.stdout.readline() == b"stubborn\n"
    end_tree(stubborn.pid, grace_seconds=0.2)
    assert stubborn.wait(60) == -signal.SIGKILL


@pytest.mark.parametrize(("code", "expected"), [("raise SystemExit(3)", 3), ("pass", 0)])
def test_the_supervisor_returns_the_exit_code(code: str, expected: int) -> None:
    words = [sys.executable, "-m", "train.queue.supervisor", sys.executable, "-c", code]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE) as supervisor:
        started = time.monotonic()
        while supervisor.poll() is None and time.monotonic() < started + 60:
            time.sleep(0.02)
        assert supervisor.returncode == expected
