"""Runs a command that never outlives its owner: `python -m train.queue.supervisor COMMAND …`.

A worker that is killed cannot end its job. This can: the system closes the worker's end of the pipe that is standard
input here, and at that the command is ended with all that it started. A worker that wants a job to stop closes the
pipe itself, so there is one way only.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from threading import Event, Thread

import psutil

GRACE_SECONDS = 10.0  # between asking and killing: torchrun needs a moment to end its processes


def run_on_leash(command: Sequence[str]) -> int:
    """Run a command to its end or to that of standard input; gives its exit code, 128 + n after signal n."""
    process, ending = subprocess.Popen(command, stdin=subprocess.DEVNULL), Event()

    def watch() -> None:
        os.read(0, 1)  # nothing is ever sent: it returns when nobody holds the other end any more
        ending.set()
        end_tree(process.pid)

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    code = process.wait()
    if ending.is_set():  # what the command left behind is still being ended
        watcher.join()
    return code if code >= 0 else 128 - code


def end_tree(pid: int, grace_seconds: float = GRACE_SECONDS) -> None:
    """End a process and all its descendants: asked first, killed after the grace."""
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
    sys.exit(run_on_leash(sys.argv[1:]))
