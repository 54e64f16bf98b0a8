"""The job store, kept by Huey in SQLite or Redis: jobs, their attempts, their workers and results.

Huey gives a message to one worker and deletes it, so the message is lost with a worker that is killed. The store
therefore records every attempt, in Huey's key-value storage:

    job/3        the command; written once
    again/3/2    a second attempt exists
    claim/3/2    the worker of the attempt: the first to write this key
    beat/3/2     the worker's heartbeat, a growing number
    end/3/2      the result of the attempt; the first to write it decides: the worker, `cancel`, or another worker that
                 finds the job lost

No key has two writers that change it, so no locks are needed. A message only names an attempt, such as 2 of job 3: a
duplicate message has no effect, and a lost one is sent again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import DatabaseError
from typing import Any

from huey import Huey, RedisHuey, SqliteHuey
from huey.registry import Message
from huey.serializer import Serializer
from redis.exceptions import RedisError

from data_manifests.errors import ConfigError, StageError

ENDS = ("finished", "failed", "cancelled", "lost")
STATES = ("waiting", "running", *ENDS)


class JsonSerializer(Serializer):
    """A serializer of messages and values as JSON: the contents of a shared Redis are read as data, never as code."""

    def _serialize(self, data: Any) -> bytes:
        return json.dumps({"message": list(data)} if isinstance(data, Message) else {"data": data}).encode()

    def _deserialize(self, data: bytes) -> Any:
        value = json.loads(bytes(data))
        return Message(*value["message"]) if "message" in value else value["data"]


@dataclass(frozen=True)
class Job:
    """A job at its latest attempt. Times are seconds since 1970; `since` is the start of the current state."""

    id: int
    words: tuple[str, ...]  # command-line words after `facecurate train`
    processes: int  # more than one: started by torchrun
    tries: int  # maximum number of attempts if workers are lost
    created: float
    attempt: int  # from 1
    state: str  # one of STATES
    since: float
    worker: str = ""
    beat: int = -1  # number of the last heartbeat; -1: none yet
    seen: float = 0.0  # time of the last heartbeat, by the worker's clock
    reason: str = ""

    @property
    def has_ended(self) -> bool:
        return self.state in ENDS


def open_job_store(workspace: Path, url: str = "") -> JobStore:
    """Open the store in `workspace/queue/queue.db`, or in the Redis of a URL. Raises ConfigError for other URLs."""
    if not url:
        file = workspace / "queue" / "queue.db"
        file.parent.mkdir(parents=True, exist_ok=True)
        with _as_stage_error(str(file)):
            return JobStore(SqliteHuey("train", filename=str(file), timeout=30, **_OPTIONS), str(file))
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ConfigError(
            f"QUEUE_URL must be empty (SQLite) or a URL such as redis://localhost:6379/0. Got {url!r} instead."
        )
    try:
        return JobStore(RedisHuey("train", url=url, **_OPTIONS), url)
    except ValueError as error:
        raise ConfigError(f"QUEUE_URL {url!r} cannot be read: {error}") from None


_OPTIONS: dict[str, Any] = {"results": False, "serializer": JsonSerializer()}


class JobStore:
    """The jobs of a database. Every method raises StageError when the database does not answer."""

    def __init__(self, huey: Huey, place: str) -> None:
        self.huey, self.place = huey, place
        self.message = huey.task(name="attempt")(lambda job, attempt: (job, attempt))

    def add(self, words: tuple[str, ...], *, tries: int, processes: int = 1, job_id: int | None = None) -> int:
        """Enqueue a job and return its number."""
        job_id = job_id or self.new_id()
        about = {"words": words, "tries": tries, "processes": processes, "created": time.time()}
        with _as_stage_error(self.place):
            self.huey.put(f"job/{job_id}", about)
            self.message(job_id, 1)
        return job_id

    def new_id(self) -> int:
        """Return the next job number."""
        with _as_stage_error(self.place):
            return int(self.huey.storage.incr("jobs"))

    def jobs(self) -> list[Job]:
        """Return all jobs, oldest first."""
        with _as_stage_error(self.place):
            raw = self.huey.storage.result_items()
        return jobs_of({key: self.huey.serializer.deserialize(value) for key, value in raw.items()})

    def job(self, job_id: int) -> Job:
        """Return one job. Raises StageError with the known numbers."""
        jobs = {job.id: job for job in self.jobs()}
        if job_id not in jobs:
            known = ", ".join(map(str, sorted(jobs)[-10:])) or "none yet"
            raise StageError(f"there is no job {job_id} (known: {known}). See: facecurate train queue list")
        return jobs[job_id]

    def take(self, worker: str) -> Job | None:
        """Claim the next attempt for a worker; None when there is none. Redis waits a second for one."""
        while True:
            with _as_stage_error(self.place):
                task = self.huey.dequeue()
                if task is None:
                    return None
                job_id, attempt = task.args
                claim = {"worker": worker, "time": time.time()}
                is_claimed = self.huey.put_if_empty(f"claim/{job_id}/{attempt}", claim)
            job = self.job(job_id) if is_claimed else None
            if (
                job is not None and job.attempt == attempt and not job.has_ended
            ):  # otherwise it was cancelled while waiting
                return job

    def heartbeat(self, job: Job, number: int) -> bool:
        """Write a heartbeat; return False if the attempt has been ended by another process."""
        with _as_stage_error(self.place):
            self.huey.put(f"beat/{job.id}/{job.attempt}", {"number": number, "time": time.time()})
            return not self.huey.storage.has_data_for_key(f"end/{job.id}/{job.attempt}")

    def end(self, job: Job, state: str, reason: str = "") -> bool:
        """Write the result of the attempt; return False if it has one already."""
        end = {"state": state, "reason": reason, "time": time.time()}
        with _as_stage_error(self.place):
            return bool(self.huey.put_if_empty(f"end/{job.id}/{job.attempt}", end))

    def retry(self, job: Job) -> None:
        """Enqueue the next attempt of a job that has ended."""
        with _as_stage_error(self.place):
            self.huey.put_if_empty(f"again/{job.id}/{job.attempt + 1}", {"time": time.time()})
            self.message(job.id, job.attempt + 1)

    def resend(self, job: Job) -> None:
        """Send the message of a waiting attempt again, unless it is pending."""
        with _as_stage_error(self.place):
            if [job.id, job.attempt] not in [list(task.args) for task in self.huey.pending()]:
                self.message(job.id, job.attempt)


def jobs_of(items: Mapping[str, Any]) -> list[Job]:
    """Return the jobs recorded in the store's keys, by number."""
    found = []
    for job_id in sorted(int(key.removeprefix("job/")) for key in items if key.startswith("job/")):
        about, attempt = items[f"job/{job_id}"], 1
        while f"again/{job_id}/{attempt + 1}" in items:
            attempt += 1
        claim, beat, end = (items.get(f"{kind}/{job_id}/{attempt}") for kind in ("claim", "beat", "end"))
        queued = items[f"again/{job_id}/{attempt}"]["time"] if attempt > 1 else about["created"]
        state = end["state"] if end else "running" if claim else "waiting"
        last_sign = beat or claim or {"time": 0.0}
        found.append(
            Job(
                job_id, tuple(about["words"]), about["processes"], about["tries"], about["created"], attempt, state,
                since=(end or claim or {"time": queued})["time"], worker=claim["worker"] if claim else "",
                beat=beat["number"] if beat else -1, seen=last_sign["time"], reason=end["reason"] if end else "",
            )
        )  # fmt: skip
    return found


@contextmanager
def _as_stage_error(place: str) -> Iterator[None]:
    """Raise the errors of an unreachable database as StageError."""
    try:
        yield
    except (RedisError, DatabaseError, OSError) as error:
        start = " Start it with: redis-server" if "://" in place else ""
        raise StageError(f"the queue at {place} does not answer: {' '.join(str(error).split())}.{start}") from None
