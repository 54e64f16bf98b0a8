"""What must be set before torch is imported, as `python -m train` does."""

from __future__ import annotations

import os
import sys


def prepare() -> None:
    """Let idle OpenMP threads sleep, and silence every process of a distributed run but the first.

    Sleeping threads give up a core that another process wants; processes with RANK other than 0 keep stderr only.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if os.environ.get("RANK", "0") != "0":
        os.environ["TQDM_DISABLE"] = "1"
        sys.stdout = open(os.devnull, "w", encoding="utf8")  # noqa: SIM115 (open as long as the process lives)
