"""The worker: takes jobs one by one, each in a process of its own with a log of its own, and finds lost ones."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from data_manifests.errors import StageError
from data_manifests.versions import Store
from train.queue.job_status import JOB_VARIABLE, log_of, runs_of_job
from train.queue.job_store import Board, Job

BEATS_A_LEASE = 5
Say = Callable[[str], None]


class Watch:
    """Finds jobs whose worker gives no sign of life.

    A sign is missed by this machine's own clock, from when it was last seen to change: clocks of several machines need
    not agree, and a worker that has just started gives everybody one lease of time.
    """

    def __init__(self, lease_seconds: float) -> None:
        self.lease_seconds = lease_seconds
        self._seen: dict[int, tuple[object, float]] = {}

    def recover(self, board: Board, say: Say) -> None:
        """Begin lost jobs again, as often as each may be; bring back messages that a killed worker took along."""
        for job in board.jobs():
            if job.state == "lost" and job.attempt < job.tries:
                say(f"job {job.id}: lost ({job.reason}), attempt {job.attempt + 1} of {job.tries}")
                board.again(job)
            elif not job.ended and self._is_still(job):
                if job.state == "running":
                    board.end(job, "lost", f"no sign of life from {job.worker} for {self.lease_seconds:g} s")
                else:
                    board.announce(job)

    def _is_still(self, job: Job) -> bool:
        now, state = time.monotonic(), (job.attempt, job.state, job.beat)
        seen, since = self._seen.get(job.id, (None, now))
        if seen != state:
            self._seen[job.id] = (state, now)
            return False
        if now - since < self.lease_seconds:
            return False
        self._seen[job.id] = (state, now)
        return True


def work(board: Board, store: Store, *, lease_seconds: float, until_done: bool, say: Say) -> None:
    """Do jobs until stopped, or until all have ended. Ctrl-C or SIGTERM hands the job in hand back to the queue."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    worker, watch = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:6]}", Watch(lease_seconds)
    say(f"worker {worker} on {board.place}; Ctrl-C stops it and hands its job back")
    try:
        while True:
            watch.recover(board, say)
            job = board.take(worker)
            if job is not None:
                do_job(board, store, job, lease_seconds, say)
            elif until_done and all(
                job.state in ("finished", "failed", "cancelled") or _given_up(job) for job in board.jobs()
            ):
                return
            elif not board.huey.storage.blocking:
                time.sleep(min(1.0, lease_seconds / BEATS_A_LEASE))
    except KeyboardInterrupt:
        say("stopped")


def do_job(board: Board, store: Store, job: Job, lease_seconds: float, say: Say) -> None:
    """Run one attempt to its end and write down how it ended."""
    log_file, words = log_of(store, job.id), command_of(job, store)
    say(f"job {job.id}: {' '.join(job.words)}; log: {log_file}")
    started = time.monotonic()
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("ab") as log:
        log.write(f"== {datetime.now():%Y-%m-%d %H:%M:%S} attempt {job.attempt}: {' '.join(words)}\n".encode())
        log.flush()
        # a session of its own: Ctrl-C at the worker's terminal must not reach it
        process = subprocess.Popen(
            [sys.executable, "-m", "train.queue.supervisor", *words], stdin=subprocess.PIPE, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True, env=_environment(job, store),
        )  # fmt: skip
        try:
            _wait(board, job, process, lease_seconds, say)
        except KeyboardInterrupt:
            board.end(job, "lost", "its worker was stopped")
            raise
        finally:
            process.communicate()  # closes the pipe, which ends what still runs, and waits
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # should somebody have killed the leash alone
    state, why = ("finished", "") if process.returncode == 0 else ("failed", _why(process.returncode, log_file))
    if not _write_end(board, job, state, why, say):
        state, why = "stopped", f"the job is {board.job(job.id).state}"
    say(f"job {job.id}: {state} after {time.monotonic() - started:.0f} s{why and f': {why}'}")


def _write_end(board: Board, job: Job, state: str, why: str, say: Say) -> bool:
    """Hours of work must not be begun again because the database was away at the wrong moment."""
    while True:
        try:
            return board.end(job, state, why)
        except StageError as error:
            say(f"job {job.id} is {state}, but {error} Trying again.")
            time.sleep(5)


def _wait(board: Board, job: Job, process: subprocess.Popen[bytes], lease_seconds: float, say: Say) -> None:
    """Until the process ends, or somebody has ended the attempt. A database that is away for a while ends nothing."""
    number, away = 0, False
    while process.poll() is None:
        try:
            if not board.beat(job, number):
                return
            away = False
        except StageError as error:
            if not away:
                say(f"job {job.id} goes on, but {error}")
            away = True
        number += 1
        try:
            process.wait(min(1.0, lease_seconds / BEATS_A_LEASE))
        except subprocess.TimeoutExpired:
            continue


def command_of(job: Job, store: Store) -> list[str]:
    """The command line of an attempt. A later one goes on with the run that the earlier one began."""
    words = list(job.words)
    if words[0] == "fit" and job.attempt > 1:
        begun = [run for run in runs_of_job(store, job.id) if run.about()["state"] != "finished"]
        # without an unfinished run, one that was finished just before its worker was lost is taken
        words = ["resume", begun[-1].name] if begun else [*words, *({"--once"} - set(words))]
    if job.processes == 1:
        return [sys.executable, "-m", "train", *words]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(job.processes)]
    return [sys.executable, *torchrun, "-m", "train", *words]


def _environment(job: Job, store: Store) -> dict[str, str]:
    more = {JOB_VARIABLE: str(job.id), "WORKSPACE": str(store.workspace), "PYTHONUNBUFFERED": "1"}
    return {"TQDM_DISABLE": "1", **os.environ, **more}  # in a file a progress bar is noise


def _given_up(job: Job) -> bool:
    return job.state == "lost" and job.attempt >= job.tries


def _why(code: int, log_file: Path) -> str:
    """The error that the log ends with, or the signal that ended the process."""
    code = 128 - code if code < 0 else code
    if code > 128:
        name = signal.Signals(code - 128).name if code - 128 in set(signal.Signals) else f"signal {code - 128}"
        return f"ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    lines = [line.strip() for line in log_file.read_text("utf8", errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or [f"exit code {code}"])[-1].removeprefix("error: ")[:300]
