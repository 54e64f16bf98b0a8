"""A review desk for tests: the server on a free port, Chromium, and people to review."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_PATIENCE_S = 120  # for a busy machine; nothing is measured by it


class Server:
    """`streamlit run curation_app` on one workspace; `kill` is a power cut."""

    def __init__(self, workspace: Path, *arguments: str, port: int | None = None) -> None:
        self.workspace, self.port = workspace, port or free_port()
        self.url = f"http://localhost:{self.port}"
        self._log = workspace / f"server-{self.port}.log"
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "streamlit", "run", "curation_app", "--server.port", str(self.port), "--",
                    "--workspace", str(workspace), *arguments,
                ],
                cwd=ROOT, stdout=log, stderr=log, start_new_session=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise AssertionError(f"the server did not start:\n{self._log.read_text()}")

    def kill(self) -> None:
        """End it without a chance to tidy up."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.kill()


@contextmanager
def serving(workspace: Path, *arguments: str, port: int | None = None) -> Iterator[Server]:
    server = Server(workspace, *arguments, port=port)
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return int(free.getsockname()[1])


def chromium() -> str:
    """Where Debian's Chromium is. Fails where there is none: a test in a browser is not to be skipped in silence."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "Chromium is not installed, and the review desk is tested in it: apt-get install chromium"
    return found
