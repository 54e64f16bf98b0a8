"""The board of jobs, kept by Huey in SQLite or Redis: which there are, who has taken them, how they ended.

Huey hands a message to one worker and forgets it, so a worker that is killed takes its message with it. The board
therefore keeps for every attempt what is needed to see that, in Huey's store of keys:

    job/3        what to run; written once
    again/3/2    there is a second attempt
    claim/3/2    the worker that has taken it: whoever writes this first
    beat/3/2     the worker's sign of life, a number that grows
    end/3/2      how the attempt ended: whoever writes this first is right, be it the worker, `cancel`, or another
                 worker that finds the job lost

No key is ever changed by two, so there is nothing to lock. A message says only "look at attempt 2 of job 3"; one too
many does no harm, and one that got lost is written again.
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
    """Messages and values as JSON: what lies in a shared Redis is read as data, never as code."""

    def _serialize(self, data: Any) -> bytes:
        return json.dumps({"message": list(data)} if isinstance(data, Message) else {"data": data}).encode()

    def _deserialize(self, data: bytes) -> Any:
        value = json.loads(bytes(data))
        return Message(*value["message"]) if "message" in value else value["data"]


@dataclass(frozen=True)
class Job:
    """A job as the board shows it. Times are seconds since 1970, `since` is when the state began."""

    id: int
    words: tuple[str, ...]  # of a command of `python -m train`
    processes: int  # more than one: under torchrun
    tries: int  # how often it is begun again by itself when its worker is lost
    created: float
    attempt: int  # counts from 1
    state: str  # of STATES
    since: float
    worker: str = ""
    beat: int = -1  # -1: none yet
    seen: float = 0.0  # when the worker gave its last sign of life, by its own clock
    reason: str = ""

    @property
    def ended(self) -> bool:
        return self.state in ENDS


def open_board(workspace: Path, url: str = "") -> Board:
    """The board in `workspace/queue/queue.db`, or in the Redis of a URL. Raises ConfigError for another kind of URL."""
    if not url:
        file = workspace / "queue" / "queue.db"
        file.parent.mkdir(parents=True, exist_ok=True)
        with _one_line(str(file)):
            return Board(SqliteHuey("train", filename=str(file), timeout=30, **_OPTIONS), str(file))
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ConfigError(f"QUEUE_URL is empty (SQLite) or like redis://localhost:6379/0. Got {url!r} instead.")
    try:
        return Board(RedisHuey("train", url=url, **_OPTIONS), url)
    except ValueError as error:
        raise ConfigError(f"QUEUE_URL {url!r} cannot be read: {error}") from None


_OPTIONS: dict[str, Any] = {"results": False, "serializer": JsonSerializer()}


class Board:
    """Every method raises StageError when the database does not answer."""

    def __init__(self, huey: Huey, place: str) -> None:
        self.huey, self.place = huey, place
        self.message = huey.task(name="attempt")(lambda job, attempt: (job, attempt))

    def add(self, words: tuple[str, ...], *, tries: int, processes: int = 1, job_id: int | None = None) -> int:
        """Put a job on the board; gives its number."""
        job_id = job_id or self.new_id()
        about = {"words": words, "tries": tries, "processes": processes, "created": time.time()}
        with _one_line(self.place):
            self.huey.put(f"job/{job_id}", about)
            self.message(job_id, 1)
        return job_id

    def new_id(self) -> int:
        with _one_line(self.place):
            return int(self.huey.storage.incr("jobs"))

    def jobs(self) -> list[Job]:
        """All jobs, oldest first."""
        with _one_line(self.place):
            raw = self.huey.storage.result_items()
        return jobs_of({key: self.huey.serializer.deserialize(value) for key, value in raw.items()})

    def job(self, job_id: int) -> Job:
        """One job. Raises StageError with the known numbers."""
        jobs = {job.id: job for job in self.jobs()}
        if job_id not in jobs:
            known = ", ".join(map(str, sorted(jobs)[-10:])) or "none yet"
            raise StageError(f"there is no job {job_id} (known: {known}). See: python -m train queue list")
        return jobs[job_id]

    def take(self, worker: str) -> Job | None:
        """The next attempt, now this worker's own; None when there is none. On Redis it waits a second for one."""
        while True:
            with _one_line(self.place):
                task = self.huey.dequeue()
                if task is None:
                    return None
                job_id, attempt = task.args
                claim = {"worker": worker, "time": time.time()}
                mine = self.huey.put_if_empty(f"claim/{job_id}/{attempt}", claim)
            job = self.job(job_id) if mine else None
            if job is not None and job.attempt == attempt and not job.ended:  # else cancelled while it waited
                return job

    def beat(self, job: Job, number: int) -> bool:
        """Give a sign of life; False when somebody else has ended the attempt."""
        with _one_line(self.place):
            self.huey.put(f"beat/{job.id}/{job.attempt}", {"number": number, "time": time.time()})
            return not self.huey.storage.has_data_for_key(f"end/{job.id}/{job.attempt}")

    def end(self, job: Job, state: str, reason: str = "") -> bool:
        """Write how the attempt ended; False when that is settled already."""
        end = {"state": state, "reason": reason, "time": time.time()}
        with _one_line(self.place):
            return bool(self.huey.put_if_empty(f"end/{job.id}/{job.attempt}", end))

    def again(self, job: Job) -> None:
        """Begin the next attempt of a job that has ended."""
        with _one_line(self.place):
            self.huey.put_if_empty(f"again/{job.id}/{job.attempt + 1}", {"time": time.time()})
            self.message(job.id, job.attempt + 1)

    def announce(self, job: Job) -> None:
        """Write the message of a waiting attempt once more, unless it is there."""
        with _one_line(self.place):
            if [job.id, job.attempt] not in [list(task.args) for task in self.huey.pending()]:
                self.message(job.id, job.attempt)


def jobs_of(items: Mapping[str, Any]) -> list[Job]:
    """The jobs that the board's keys tell of, by number."""
    found = []
    for job_id in sorted(int(key.removeprefix("job/")) for key in items if key.startswith("job/")):
        about, attempt = items[f"job/{job_id}"], 1
        while f"again/{job_id}/{attempt + 1}" in items:
            attempt += 1
        claim, beat, end = (items.get(f"{kind}/{job_id}/{attempt}") for kind in ("claim", "beat", "end"))
        begun = items[f"again/{job_id}/{attempt}"]["time"] if attempt > 1 else about["created"]
        state = end["state"] if end else "running" if claim else "waiting"
        sign = beat or claim or {"time": 0.0}
        found.append(
            Job(
                job_id, tuple(about["words"]), about["processes"], about["tries"], about["created"], attempt, state,
                since=(end or claim or {"time": begun})["time"], worker=claim["worker"] if claim else "",
                beat=beat["number"] if beat else -1, seen=sign["time"], reason=end["reason"] if end else "",
            )
        )  # fmt: skip
    return found


@contextmanager
def _one_line(place: str) -> Iterator[None]:
    """What a database says when it is away, as one of our errors."""
    try:
        yield
    except (RedisError, DatabaseError, OSError) as error:
        start = " Start it with: redis-server" if "://" in place else ""
        raise StageError(f"the queue at {place} does not answer: {' '.join(str(error).split())}.{start}") from None
