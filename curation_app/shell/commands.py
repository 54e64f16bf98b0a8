"""Commands of the toolkit that a page starts: in a process of their own, whose memory goes when it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from data_manifests.errors import StageError
from data_manifests.versions import Store

_ROOT = Path(__file__).resolve().parents[2]


def run_command(store: Store, *words: str) -> str:
    """Run `python -m WORDS …` in a store's workspace and give what it printed.

    Raises StageError with the command's own one line if it fails.
    """
    ours = {"WORKSPACE": str(store.workspace.absolute()), "PYTHONPATH": str(_ROOT), "PYTHONIOENCODING": "utf8"}
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, env=os.environ | ours, capture_output=True, encoding="utf8", check=False)
    if done.returncode:
        told = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        if not told:  # a defect of ours: all of it goes to the server's log
            sys.stderr.write(done.stderr)
            raise StageError(f"python -m {' '.join(words[:2])} failed; the reason stands in the server's output.")
        raise StageError(told[-1].removeprefix("error: "))
    return done.stdout
