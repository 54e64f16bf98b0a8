"""The job store, on SQLite and on a real Redis."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from data_manifests.errors import StageError
from data_manifests.versions.store import Store
from train.queue.job_store import JobStore, JsonSerializer, jobs_of, open_job_store
from train.queue.worker import LeaseMonitor


def test_a_job_goes_through_its_states(job_store: JobStore) -> None:
    first, second = job_store.add(("report", "a"), tries=3), job_store.add(("report", "b"), tries=3)
    assert (first, second) == (1, 2)
    taken = job_store.take("me")
    assert taken is not None
    assert (taken.id, taken.words, taken.attempt, taken.state) == (1, ("report", "a"), 1, "running")
    assert [job.state for job in job_store.jobs()] == ["running", "waiting"]
    assert job_store.heartbeat(taken, 0)
    assert job_store.end(taken, "failed", "no such run")
    assert not job_store.end(taken, "finished")  # the first result counts
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


def test_a_duplicate_message_has_no_effect(job_store: JobStore) -> None:
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


@pytest.mark.slow
@pytest.mark.workers
def test_concurrent_workers_never_take_a_job_twice(store: Store, url: str, job_store: JobStore) -> None:
    for _ in range(60):
        job_store.message(job_store.add(("report", "a"), tries=1), 1)  # every message twice
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        taken = pool.starmap(_take_all, [(store.workspace, url)] * 3)
    assert sorted(job for jobs in taken for job in jobs) == list(range(1, 61))


def test_a_lost_job_is_retried_up_to_its_tries(job_store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, messages = [0.0], []
    monkeypatch.setattr("train.queue.worker.time.monotonic", lambda: clock[0])
    monitor = LeaseMonitor(lease_seconds=60)
    job_store.add(("report", "a"), tries=2)
    for attempt in (1, 2):
        job = job_store.take("doomed")
        assert job is not None
        monitor.recover(job_store, messages.append)  # first observation
        clock[0] += 59
        job_store.heartbeat(job, 1)
        monitor.recover(job_store, messages.append)  # heartbeat received
        clock[0] += 59
        monitor.recover(job_store, messages.append)
        assert job_store.job(1).state == "running"
        clock[0] += 2  # 61 seconds since the last heartbeat
        monitor.recover(job_store, messages.append)
        assert (job_store.job(1).state, job_store.job(1).attempt) == ("lost", attempt)
        assert not job_store.heartbeat(job, 2)  # a worker that is still alive learns that its attempt has ended
        monitor.recover(job_store, messages.append)
    assert (job_store.job(1).state, job_store.job(1).attempt) == ("lost", 2)
    assert messages == ["job 1: lost (no heartbeat from doomed for 60 s), attempt 2 of 2"]
    assert job_store.take("me") is None


def test_a_message_lost_with_its_worker_is_resent(job_store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("train.queue.worker.time.monotonic", lambda: clock[0])
    monitor = LeaseMonitor(lease_seconds=60)
    job_store.add(("report", "a"), tries=2)
    assert job_store.huey.dequeue() is not None  # a worker took the message and was killed before its claim
    for _ in range(2):
        monitor.recover(job_store, print)
        clock[0] += 61
    assert job_store.huey.pending_count() == 1
    clock[0] += 61
    monitor.recover(job_store, print)
    assert job_store.huey.pending_count() == 1  # the message is pending, so it is not sent again
    assert job_store.take("me") is not None


def test_the_database_holds_json(job_store: JobStore) -> None:
    job_store.add(("report", "a"), tries=2)
    (message,) = job_store.huey.storage.enqueued_items()
    assert bytes(message).startswith(b'{"message": ["')
    assert b'{"data": {"words": ["report", "a"]' in bytes(job_store.huey.storage.peek_data("job/1"))
    with pytest.raises(ValueError, match="codec can't decode"):
        JsonSerializer().deserialize(b"\x80\x05cos\nsystem\n.")  # a pickle


def test_jobs_follow_from_the_keys() -> None:
    about = {"words": ["fit", "a"], "tries": 3, "processes": 1, "created": 1.0}
    items = {"job/2": about, "job/10": about, "claim/10/1": {"worker": "w", "time": 2.0}}
    items |= {"end/10/1": {"state": "lost", "reason": "gone", "time": 3.0}, "again/10/2": {"time": 4.0}}
    assert [(job.id, job.state, job.attempt, job.since) for job in jobs_of(items)] == [
        (2, "waiting", 1, 1.0), (10, "waiting", 2, 4.0),
    ]  # fmt: skip
