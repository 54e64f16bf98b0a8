"""The queue, on a real SQLite file and a real Redis, with workers that are really killed."""

from __future__ import annotations

import csv
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from click.testing import CliRunner, Result

from data_manifests.errors import ConfigError, StageError
from data_manifests.versions.store import Store
from tests.support.train_drawn import tiny_settings, write_people
from tests.support.train_jobs import ROOT, redis_server, said_by, start, wait_for
from train.cli.main import cli
from train.cli.queue import age_text, table_lines
from train.queue.job_status import log_of, runs_of_job
from train.queue.job_store import Job, JobStore, JsonSerializer, jobs_of, open_job_store
from train.queue.supervisor import end_tree
from train.queue.worker import LeaseMonitor, command_of
from train.settings import load_train_settings


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    """Both databases; each test on Redis finds it empty."""
    if request.param == "sqlite":
        return ""
    url = request.getfixturevalue("redis_url")
    open_job_store(Path(), url).huey.storage.flush_all()
    return url


@pytest.fixture
def job_store(store: Store, url: str) -> JobStore:
    return open_job_store(store.workspace, url)


def command(store: Store, url: str, *words: str) -> Result:
    return CliRunner().invoke(cli, ["queue", *words], env={"WORKSPACE": str(store.workspace), "QUEUE_URL": url})


def tiny_config(store: Store, epochs: int) -> Path:
    file = store.workspace.parent / "tiny.yaml"
    settings = tiny_settings(data={"augment": {}}, optim={"epochs": epochs, "patience": epochs})
    file.write_text(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False))
    return file


def epochs_of(store: Store, job_id: int) -> list[str]:
    """The epochs that stand in metrics.csv of a job's only run."""
    runs = runs_of_job(store, job_id)
    assert len(runs) <= 1
    file = runs[0].path / "metrics.csv" if runs else Path("/nowhere")
    return [row["epoch"] for row in csv.DictReader(file.open())] if file.is_file() else []


# -- the job_store ------------------------------------------------------------------------------------------------------
def test_a_job_goes_through_its_states(job_store: JobStore) -> None:
    first, second = job_store.add(("report", "a"), tries=3), job_store.add(("report", "b"), tries=3)
    assert (first, second) == (1, 2)
    taken = job_store.take("me")
    assert taken is not None
    assert (taken.id, taken.words, taken.attempt, taken.state) == (1, ("report", "a"), 1, "running")
    assert [job.state for job in job_store.jobs()] == ["running", "waiting"]
    assert job_store.heartbeat(taken, 0)
    assert job_store.end(taken, "failed", "no such run")
    assert not job_store.end(taken, "finished")  # the first word counts
    assert not job_store.heartbeat(taken, 1)
    assert (job_store.job(1).state, job_store.job(1).reason, job_store.job(1).beat) == ("failed", "no such run", 1)
    job_store.retry(job_store.job(1))
    assert (job_store.job(1).state, job_store.job(1).attempt) == ("waiting", 2)
    second_job = job_store.take("me")
    assert second_job is not None
    assert second_job.id == 2
    again = job_store.take("me")
    assert again is not None
    assert (again.id, again.attempt) == (1, 2)
    assert job_store.take("me") is None
    with pytest.raises(StageError, match=r"there is no job 9 \(known: 1, 2\)"):
        job_store.job(9)


def test_a_job_cancelled_while_it_waits_is_never_taken(job_store: JobStore) -> None:
    job_store.add(("report", "a"), tries=3)
    assert job_store.end(job_store.job(1), "cancelled")
    assert job_store.take("me") is None
    assert job_store.job(1).state == "cancelled"


def test_a_message_too_many_does_no_harm(job_store: JobStore) -> None:
    job_store.add(("report", "a"), tries=3)
    job_store.message(1, 1)
    job_store.message(1, 1)
    assert job_store.take("one") is not None
    assert job_store.take("two") is None


def _take_all(workspace: Path, url: str) -> list[int]:
    job_store, taken = open_job_store(workspace, url), []
    while (job := job_store.take(str(os.getpid()))) is not None:
        taken.append(job.id)
    return taken


def test_workers_at_once_never_take_a_job_twice(store: Store, url: str, job_store: JobStore) -> None:
    for _ in range(60):
        job_store.message(job_store.add(("report", "a"), tries=1), 1)  # every message twice, to make it hard
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        taken = pool.starmap(_take_all, [(store.workspace, url)] * 3)
    assert sorted(job for jobs in taken for job in jobs) == list(range(1, 61))


def test_a_lost_job_is_begun_again_as_often_as_it_may(job_store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, said = [0.0], []
    monkeypatch.setattr("train.queue.worker.time.monotonic", lambda: clock[0])
    watch = LeaseMonitor(lease_seconds=60)
    job_store.add(("report", "a"), tries=2)
    for attempt in (1, 2):
        job = job_store.take("doomed")
        assert job is not None
        watch.recover(job_store, said.append)  # sees it for the first time
        clock[0] += 59
        job_store.heartbeat(job, 1)
        watch.recover(job_store, said.append)  # it lives
        clock[0] += 59
        watch.recover(job_store, said.append)
        assert job_store.job(1).state == "running"
        clock[0] += 2  # 61 seconds since the last sign
        watch.recover(job_store, said.append)
        assert (job_store.job(1).state, job_store.job(1).attempt) == ("lost", attempt)
        assert not job_store.heartbeat(job, 2)  # should it live after all, it learns that it is out
        watch.recover(job_store, said.append)
    assert (job_store.job(1).state, job_store.job(1).attempt) == ("lost", 2)
    assert said == ["job 1: lost (no heartbeat from doomed for 60 s), attempt 2 of 2"]
    assert job_store.take("me") is None


def test_a_message_that_died_with_its_worker_is_written_again(
    job_store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("train.queue.worker.time.monotonic", lambda: clock[0])
    watch = LeaseMonitor(lease_seconds=60)
    job_store.add(("report", "a"), tries=2)
    assert job_store.huey.dequeue() is not None  # a worker took it and was killed before it could claim the job
    for _ in range(2):
        watch.recover(job_store, print)
        clock[0] += 61
    assert job_store.huey.pending_count() == 1
    clock[0] += 61
    watch.recover(job_store, print)
    assert job_store.huey.pending_count() == 1  # it is there, so no other is written
    assert job_store.take("me") is not None


def test_what_lies_in_the_database_is_json(job_store: JobStore) -> None:
    job_store.add(("report", "a"), tries=2)
    (message,) = job_store.huey.storage.enqueued_items()
    assert bytes(message).startswith(b'{"message": ["')
    assert b'{"data": {"words": ["report", "a"]' in bytes(job_store.huey.storage.peek_data("job/1"))
    with pytest.raises(ValueError, match="codec can't decode"):
        JsonSerializer().deserialize(b"\x80\x05cos\nsystem\n.")  # a pickle


def test_jobs_are_read_from_the_keys_alone() -> None:
    about = {"words": ["fit", "a"], "tries": 3, "processes": 1, "created": 1.0}
    items = {"job/2": about, "job/10": about, "claim/10/1": {"worker": "w", "time": 2.0}}
    items |= {"end/10/1": {"state": "lost", "reason": "gone", "time": 3.0}, "again/10/2": {"time": 4.0}}
    assert [(job.id, job.state, job.attempt, job.since) for job in jobs_of(items)] == [
        (2, "waiting", 1, 1.0), (10, "waiting", 2, 4.0),
    ]  # fmt: skip


def test_a_variant_of_a_settings_file_is_kept_with_its_file(store: Store) -> None:
    write_people(store, train=6, val=6)
    config = tiny_config(store, 2)
    config.write_text(config.read_text() + "\nvariants: {long: {optim: {epochs: 50}}}\n")
    added = command(store, "", "add", "fit", "drawn", "--config", f"{config}#long")
    assert added.exit_code == 0, added.output
    kept = open_job_store(store.workspace).job(1).words[-1]
    assert kept.endswith("config.yaml#long")
    assert load_train_settings(Path(kept)).optim.epochs == 50


# -- the commands ---------------------------------------------------------------------------------------------------
def test_add_checks_and_keeps_what_it_is_given(store: Store) -> None:
    write_people(store, train=6, val=6)
    config = tiny_config(store, 2)
    added = command(store, "", "add", "--tries", "1", "fit", "drawn", "--config", str(config), "seed=4", "--once")
    assert added.exit_code == 0, added.output
    write_people(store, train=12, val=6)  # a newer version, and another file
    config.write_text("optim: {epochs: 99}")
    (job,) = open_job_store(store.workspace).jobs()
    kept = store.workspace.resolve() / "queue" / "1" / "config.yaml"
    assert job.words == ("fit", "drawn@1", "--config", str(kept), "seed=4", "--once")
    assert yaml.safe_load(kept.read_text())["optim"]["epochs"] == 2
    assert job.tries == 1
    compared = command(store, "", "add", "compare", "drawn", "drawn@1", "--val", "drawn", "optim.epochs=1")
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
def test_a_wrong_job_is_refused_when_it_is_added(
    store: Store, words: list[str], kind: type[Exception] | None, message: str
) -> None:
    write_people(store, train=6, val=6)
    result = command(store, "", "add", *words)
    assert result.exit_code != 0
    text = result.output if kind is None else str(result.exception)
    assert re.search(message, text), text
    assert kind is None or isinstance(result.exception, kind)
    assert open_job_store(store.workspace).jobs() == []


def test_only_what_can_be_is_cancelled_or_begun_again(store: Store) -> None:
    job_store = open_job_store(store.workspace)
    job_store.add(("report", "a"), tries=3)
    assert "job 1 is waiting" in str(command(store, "", "retry", "1").exception)
    assert command(store, "", "cancel", "1").output == "job 1: cancelled\n"
    assert "job 1 has ended already: cancelled" in str(command(store, "", "cancel", "1").exception)
    assert command(store, "", "retry", "1").output.startswith("job 1: attempt 2 waits")
    assert job_store.job(1).state == "waiting"
    assert "there is no job 7 (known: 1)" in str(command(store, "", "cancel", "7").exception)


def test_a_database_that_is_away_is_one_line(store: Store) -> None:
    error = command(store, "redis://127.0.0.1:1/0", "list").exception
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


# -- workers that are real processes --------------------------------------------------------------------------------
def test_a_killed_worker_s_job_is_found_and_gone_on_with(store: Store, url: str) -> None:
    write_people(store, train=24, val=6)
    epochs = 40
    added = command(store, url, "add", "fit", "drawn", "--config", str(tiny_config(store, epochs)))
    assert added.exit_code == 0, added.output
    doomed = start(store.workspace, url, "work", "--lease", "2")
    wait_for(lambda: len(epochs_of(store, 1)) >= 2, "two epochs", doomed)
    trainers = psutil.Process(doomed.pid).children(recursive=True)
    assert trainers
    os.kill(doomed.pid, signal.SIGKILL)
    doomed.communicate()
    wait_for(lambda: not any(process.is_running() for process in trainers), "the end of the training process")
    done = len(epochs_of(store, 1))
    assert done < epochs, "the job was over before its worker was killed"
    assert open_job_store(store.workspace, url).job(1).state == "running"  # nobody has noticed yet

    said = said_by(start(store.workspace, url, "work", "--lease", "2", "--until-done"))
    job = open_job_store(store.workspace, url).job(1)
    assert (job.state, job.attempt) == ("finished", 2), said
    assert "job 1: lost (no heartbeat from" in said
    # the same run, every epoch once, the later ones by the second worker
    assert epochs_of(store, 1) == [str(epoch + 1) for epoch in range(epochs)]
    assert (runs_of_job(store, 1)[0].path / "report.html").is_file()
    log = log_of(store, 1).read_text()
    assert "attempt 1: " in log
    assert "resume drawn-0001" in log.split("attempt 2: ")[1]


def test_a_running_job_is_cancelled_and_a_stopped_worker_hands_its_job_back(store: Store) -> None:
    write_people(store, train=24, val=6)
    for _ in range(2):
        assert command(store, "", "add", "fit", "drawn", "--config", str(tiny_config(store, 500))).exit_code == 0
    worker = start(store.workspace, "", "work", "--lease", "5")
    wait_for(lambda: len(epochs_of(store, 1)) >= 1, "an epoch of the first job", worker)
    assert re.search(r"epoch \d+/500 F1 [01]\.", command(store, "", "list").output)
    assert command(store, "", "cancel", "1").output == "job 1: cancelled; its process ends within seconds\n"
    wait_for(lambda: len(epochs_of(store, 2)) >= 1, "an epoch of the second job", worker)
    worker.send_signal(signal.SIGTERM)
    said = said_by(worker)
    assert "job 1: stopped after" in said
    cancelled, lost = open_job_store(store.workspace).jobs()
    assert cancelled.state == "cancelled"
    assert len(epochs_of(store, 1)) < 500
    assert (lost.state, lost.reason) == ("lost", "its worker was stopped")
    recovered: list[str] = []
    LeaseMonitor(60).recover(
        open_job_store(store.workspace), recovered.append
    )  # at once: nobody has to wait for the lease
    assert recovered == ["job 2: lost (its worker was stopped), attempt 2 of 3"]
    for job, run in ((1, "drawn-0001"), (2, "drawn-0002")):
        later = Job(job, ("fit", "drawn@1"), 1, 3, 0.0, attempt=2, state="running", since=0.0)
        assert command_of(later, store)[-2:] == ["resume", run]


def test_two_workers_share_the_jobs_and_one_that_fails_says_why(store: Store, redis_url: str) -> None:
    open_job_store(Path(), redis_url).huey.storage.flush_all()
    write_people(store, train=6, val=6)
    config = str(tiny_config(store, 1))
    for more in (["seed=1"], ["optim.name=sgd", "optim.lr=1e30"], ["seed=2"]):
        assert command(store, redis_url, "add", "fit", "drawn", "--config", config, *more).exit_code == 0
    workers = [start(store.workspace, redis_url, "work", "--lease", "20", "--until-done") for _ in range(2)]
    said = [said_by(worker) for worker in workers]
    jobs = open_job_store(store.workspace, redis_url).jobs()
    assert [job.state for job in jobs] == ["finished", "failed", "finished"], said
    assert {job.attempt for job in jobs} == {1}  # a failure of its own is not tried again by itself
    assert len({job.worker for job in jobs}) == 2
    assert "the loss became" in jobs[1].reason
    assert "Lower optim.lr" in jobs[1].reason
    for job in jobs:  # each job once, in a log of its own, with one run
        assert log_of(store, job.id).read_text().count("attempt") == 1
        assert len(runs_of_job(store, job.id)) == 1


# -- the leash ------------------------------------------------------------------------------------------------------
SLEEP = "import time; time.sleep(600)"
HAS_A_CHILD = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '{SLEEP}']); {SLEEP}"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); {SLEEP}"


def test_a_command_ends_with_its_owner_and_all_it_started() -> None:
    leash = subprocess.Popen(
        [sys.executable, "-m", "train.queue.supervisor", sys.executable, "-c", HAS_A_CHILD],
        cwd=ROOT,
        stdin=subprocess.PIPE,
    )
    root = psutil.Process(leash.pid)
    wait_for(lambda: len(root.children(recursive=True)) == 2, "two processes", leash)
    family = root.children(recursive=True)
    assert leash.stdin is not None
    leash.stdin.close()
    assert leash.wait(60) == 128 + signal.SIGTERM
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family)


def test_a_command_that_does_not_listen_is_killed() -> None:
    deaf = subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE)
    assert deaf.stdout is not None
    assert deaf.stdout.readline() == b"deaf\n"
    end_tree(deaf.pid, grace_seconds=0.2)
    assert deaf.wait(60) == -signal.SIGKILL


@pytest.mark.parametrize(("code", "expected"), [("raise SystemExit(3)", 3), ("pass", 0)])
def test_the_leash_gives_the_exit_code_on(code: str, expected: int) -> None:
    words = [sys.executable, "-m", "train.queue.supervisor", sys.executable, "-c", code]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE) as leash:
        started = time.monotonic()
        while leash.poll() is None and time.monotonic() < started + 60:
            time.sleep(0.02)
        assert leash.returncode == expected
