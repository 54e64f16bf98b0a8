"""Helpers of the queue's tests: a Redis server, commands, and workers as processes."""

from __future__ import annotations

import csv
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
import yaml
from click.testing import CliRunner, Result

from data_manifests.versions.store import Store
from tests.support.train_drawn import tiny_settings
from train.cli.main import cli
from train.queue.job_status import runs_of_job

TIMEOUT_S = 1200  # ends a test that would hang; not a limit on speed
ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Start a redis-server on a free port and yield its URL. Fails the test if the program is missing."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.fail(
            "redis-server is not installed. Install it for the tests of the queue: apt-get install redis-server"
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    try:
        url = f"redis://127.0.0.1:{port}/0"
        wait_for(lambda: _responds(url), "a reply of redis-server", server)
        yield url
    finally:
        server.terminate()
        server.wait()


def _responds(url: str) -> bool:
    try:
        return bool(redis.Redis.from_url(url).ping())
    except redis.exceptions.RedisError:
        return False


def wait_for(condition: Callable[[], bool], what: str, process: subprocess.Popen | None = None) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        assert process is None or process.poll() is None, f"a process ended before {what}"
        time.sleep(0.1)


def start(workspace: Path, url: str, *words: str, **options: object) -> subprocess.Popen:
    """Start `facecurate train queue WORDS…` as a process."""
    environment = os.environ | {"WORKSPACE": str(workspace), "QUEUE_URL": url, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "train", "queue", *words], cwd=ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options,  # type: ignore[call-overload]
    )  # fmt: skip


def output_of(process: subprocess.Popen) -> str:
    """Return everything that a process prints until it ends."""
    return process.communicate(timeout=TIMEOUT_S)[0]


def queue_command(store: Store, url: str, *words: str) -> Result:
    """Run `facecurate train queue WORDS…` in this process."""
    return CliRunner().invoke(cli, ["queue", *words], env={"WORKSPACE": str(store.workspace), "QUEUE_URL": url})


def tiny_config(store: Store, epochs: int) -> Path:
    """Write a settings file of a tiny network."""
    file = store.workspace.parent / "tiny.yaml"
    settings = tiny_settings(data={"augment": {}}, optim={"epochs": epochs, "patience": epochs})
    file.write_text(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False))
    return file


def epochs_of(store: Store, job_id: int) -> list[str]:
    """Return the epochs in metrics.csv of a job's only run."""
    runs = runs_of_job(store, job_id)
    assert len(runs) <= 1
    file = runs[0].path / "metrics.csv" if runs else Path("/nowhere")
    return [row["epoch"] for row in csv.DictReader(file.open())] if file.is_file() else []
