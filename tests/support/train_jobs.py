"""What the tests of the queue share: a Redis of their own, and real workers as processes."""

from __future__ import annotations

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

HANGS = 1200  # seconds: no limit of speed, but the end of a test that would wait for ever
ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A real redis-server on a free port; gives its URL. Without the program the test fails: it is not optional."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.fail(
            "redis-server is not installed, and the queue is tested against a real one: apt-get install redis-server"
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    try:
        url = f"redis://127.0.0.1:{port}/0"
        wait_for(lambda: _answers(url), "an answer of redis-server", server)
        yield url
    finally:
        server.terminate()
        server.wait()


def _answers(url: str) -> bool:
    try:
        return bool(redis.Redis.from_url(url).ping())
    except redis.exceptions.RedisError:
        return False


def wait_for(holds: Callable[[], bool], what: str, process: subprocess.Popen | None = None) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + HANGS
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        assert process is None or process.poll() is None, f"a process ended before {what}"
        time.sleep(0.1)


def start(workspace: Path, url: str, *words: str, **options: object) -> subprocess.Popen:
    """`python -m train queue WORDS…` as a process of its own."""
    environment = os.environ | {"WORKSPACE": str(workspace), "QUEUE_URL": url, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "train", "queue", *words], cwd=ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options,  # type: ignore[call-overload]
    )  # fmt: skip


def said_by(process: subprocess.Popen) -> str:
    """Everything that a process prints until it ends."""
    return process.communicate(timeout=HANGS)[0]
