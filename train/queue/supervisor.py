"""A process supervisor that ends a command together with its owner: `python -m train.queue.supervisor COMMAND …`.

A worker that is killed cannot end its job. The supervisor can: its standard input is a pipe from the worker, which the
system closes when the worker dies, and it then ends the command and all its child processes. A worker stops a job in
the same way, by closing the pipe.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from threading import Event, Thread

import psutil

GRACE_SECONDS = 10.0  # between SIGTERM and SIGKILL: torchrun needs time to end its processes


def run_supervised(command: Sequence[str]) -> int:
    """Run a command until it ends or standard input closes; return its exit code, 128 + n after signal n."""
    process, ending = subprocess.Popen(command, stdin=subprocess.DEVNULL), Event()

    def watch() -> None:
        os.read(0, 1)  # no data is ever sent: it returns when the other end is closed
        ending.set()
        end_tree(process.pid)

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    code = process.wait()
    if ending.is_set():  # child processes are still being ended
        watcher.join()
    return code if code >= 0 else 128 - code


def end_tree(pid: int, grace_seconds: float = GRACE_SECONDS) -> None:
    """End a process and all its descendants: terminate them, and kill those that remain after the grace period."""
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(family, grace_seconds)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


if __name__ == "__main__":
    sys.exit(run_supervised(sys.argv[1:]))
