"""The environment of a training process, set before torch is imported. This module imports no torch itself."""

from __future__ import annotations

import os
import sys


def is_first_rank() -> bool:
    """Return whether this is the only process, or the one of rank 0 among those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def prepare_process() -> None:
    """Set up this process for training; call it before torch is imported.

    Idle OpenMP threads sleep instead of spinning, so that other processes can use their cores. Processes of a rank
    other than 0 print neither messages nor progress bars; errors still reach stderr.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if not is_first_rank():
        os.environ["TQDM_DISABLE"] = "1"
        sys.stdout = open(os.devnull, "w", encoding="utf8")  # noqa: SIM115 (open as long as the process lives)
