"""The worker: runs jobs one by one, each in its own process with its own log, and retries lost jobs."""

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
from train.queue.job_store import Job, JobStore

HEARTBEATS_PER_LEASE = 5
Echo = Callable[[str], None]


class LeaseMonitor:
    """A monitor of jobs whose worker has sent no heartbeat for one lease.

    Leases are measured by this machine's clock from the last observed change, so the clocks of several machines need
    not agree, and a worker that has just started waits one lease for every job.
    """

    def __init__(self, lease_seconds: float) -> None:
        self.lease_seconds = lease_seconds
        self._observed: dict[int, tuple[object, float]] = {}  # job → its state, when it was first observed

    def recover(self, job_store: JobStore, echo: Echo) -> None:
        """Retry lost jobs up to their number of tries, and resend messages lost with a killed worker."""
        for job in job_store.jobs():
            if job.state == "lost" and job.attempt < job.tries:
                echo(f"job {job.id}: lost ({job.reason}), attempt {job.attempt + 1} of {job.tries}")
                job_store.retry(job)
            elif not job.has_ended and self._has_expired(job):
                if job.state == "running":
                    job_store.end(job, "lost", f"no heartbeat from {job.worker} for {self.lease_seconds:g} s")
                else:
                    job_store.resend(job)

    def _has_expired(self, job: Job) -> bool:
        now, state = time.monotonic(), (job.attempt, job.state, job.beat)
        observed, since = self._observed.get(job.id, (None, now))
        if observed != state:
            self._observed[job.id] = (state, now)
            return False
        if now - since < self.lease_seconds:
            return False
        self._observed[job.id] = (state, now)
        return True


def work(job_store: JobStore, store: Store, *, lease_seconds: float, until_done: bool, echo: Echo) -> None:
    """Run jobs until stopped, or until all have ended. Ctrl-C or SIGTERM returns the current job to the queue."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    worker, monitor = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:6]}", LeaseMonitor(lease_seconds)
    echo(f"worker {worker} on {job_store.place}; press Ctrl-C to stop it and return its job to the queue")
    try:
        while True:
            monitor.recover(job_store, echo)
            job = job_store.take(worker)
            if job is not None:
                run_job(job_store, store, job, lease_seconds, echo)
            elif until_done and all(
                job.state in ("finished", "failed", "cancelled") or _is_given_up(job) for job in job_store.jobs()
            ):
                return
            elif not job_store.huey.storage.blocking:
                time.sleep(min(1.0, lease_seconds / HEARTBEATS_PER_LEASE))
    except KeyboardInterrupt:
        echo("stopped")


def run_job(job_store: JobStore, store: Store, job: Job, lease_seconds: float, echo: Echo) -> None:
    """Run one attempt to its end and write its result."""
    log_file, command = log_of(store, job.id), command_of(job, store)
    echo(f"job {job.id}: {' '.join(job.words)}; log: {log_file}")
    started = time.monotonic()
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("ab") as log:
        log.write(f"== {datetime.now():%Y-%m-%d %H:%M:%S} attempt {job.attempt}: {' '.join(command)}\n".encode())
        log.flush()
        # a new session: Ctrl-C at the worker's terminal must not reach the job
        process = subprocess.Popen(
            [sys.executable, "-m", "train.queue.supervisor", *command], stdin=subprocess.PIPE, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True, env=_environment(job, store),
        )  # fmt: skip
        try:
            _wait(job_store, job, process, lease_seconds, echo)
        except KeyboardInterrupt:
            job_store.end(job, "lost", "its worker was stopped")
            raise
        finally:
            process.communicate()  # closes the pipe, at which the supervisor ends the job, and waits
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # in case the supervisor alone was killed
    state, reason = ("finished", "") if process.returncode == 0 else ("failed", _reason(process.returncode, log_file))
    if not _write_end(job_store, job, state, reason, echo):
        state, reason = "stopped", f"the job is {job_store.job(job.id).state}"
    echo(f"job {job.id}: {state} after {time.monotonic() - started:.0f} s{reason and f': {reason}'}")


def _write_end(job_store: JobStore, job: Job, state: str, reason: str, echo: Echo) -> bool:
    """Write the result of an attempt, waiting for an unreachable database: hours of work must not be repeated."""
    while True:
        try:
            return job_store.end(job, state, reason)
        except StageError as error:
            echo(f"job {job.id} is {state}, but {error} Retrying.")
            time.sleep(5)


def _wait(job_store: JobStore, job: Job, process: subprocess.Popen[bytes], lease_seconds: float, echo: Echo) -> None:
    """Send heartbeats until the process ends or the attempt has been ended; continue while the database is away."""
    number, is_away = 0, False
    while process.poll() is None:
        try:
            if not job_store.heartbeat(job, number):
                return
            is_away = False
        except StageError as error:
            if not is_away:
                echo(f"job {job.id} continues, but {error}")
            is_away = True
        number += 1
        try:
            process.wait(min(1.0, lease_seconds / HEARTBEATS_PER_LEASE))
        except subprocess.TimeoutExpired:
            continue


def command_of(job: Job, store: Store) -> list[str]:
    """Return the command line of an attempt. A later attempt of `fit` resumes the run of the earlier one."""
    words = list(job.words)
    if words[0] == "fit" and job.attempt > 1:
        unfinished = [run for run in runs_of_job(store, job.id) if run.about()["state"] != "finished"]
        # --once: the run may have finished just before its worker was lost
        words = ["resume", unfinished[-1].name] if unfinished else [*words, *({"--once"} - set(words))]
    if job.processes == 1:
        return [sys.executable, "-m", "train", *words]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(job.processes)]
    return [sys.executable, *torchrun, "-m", "train", *words]


def _environment(job: Job, store: Store) -> dict[str, str]:
    variables = {JOB_VARIABLE: str(job.id), "WORKSPACE": str(store.workspace), "PYTHONUNBUFFERED": "1"}
    return {"TQDM_DISABLE": "1", **os.environ, **variables}  # no progress bars in log files


def _is_given_up(job: Job) -> bool:
    return job.state == "lost" and job.attempt >= job.tries


def _reason(code: int, log_file: Path) -> str:
    """Return the last error in the log, or the signal that ended the process."""
    code = 128 - code if code < 0 else code
    if code > 128:
        name = signal.Signals(code - 128).name if code - 128 in set(signal.Signals) else f"signal {code - 128}"
        return f"ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    lines = [line.strip() for line in log_file.read_text("utf8", errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or [f"exit code {code}"])[-1].removeprefix("error: ")[:300]
