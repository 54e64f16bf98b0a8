"""Toolkit commands started by a page, each in a process of its own so that its memory is freed when it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from data_manifests.errors import StageError
from data_manifests.versions import Store

_ROOT = Path(__file__).resolve().parents[2]


def run_command(store: Store, *arguments: str) -> str:
    """Run `python -m ARGUMENTS …` in a store's workspace and return its standard output.

    Raises StageError with the command's own error line if it fails.
    """
    settings = {"WORKSPACE": str(store.workspace.absolute()), "PYTHONPATH": str(_ROOT), "PYTHONIOENCODING": "utf8"}
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, encoding="utf8", check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        if not errors:  # a defect of the toolkit: the traceback goes to the server's log
            sys.stderr.write(done.stderr)
            raise StageError(f"the command {' '.join(arguments[:2])} failed; the server's output has the traceback.")
        raise StageError(errors[-1].removeprefix("error: "))
    return done.stdout


def run_json_command(store: Store, *arguments: str) -> Any:
    """Run a command with `--json` and return the parsed last line of its output. Raises StageError as `run_command`."""
    return json.loads(run_command(store, *arguments, "--json").splitlines()[-1])
