"""Memory and processor time of a running process and its children."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import psutil


def held_mb(pid: int) -> float:
    """Return the memory in MB of a process and its children, shared pages divided among them (PSS)."""
    return _sum_of_family(pid, lambda member: float(member.memory_full_info().pss)) / 2**20


def used_cpu_s(pid: int) -> float:
    """Return the processor seconds that a process and its children have used so far; 0 if it has ended."""

    def used_s(member: psutil.Process) -> float:
        times = member.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)

    return _sum_of_family(pid, used_s)


def _sum_of_family(pid: int, measure: Callable[[psutil.Process], float]) -> float:
    """Return the sum of a measure over a process and its children; those that have ended count 0."""
    total = 0.0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for member in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                total += measure(member)
    return total
