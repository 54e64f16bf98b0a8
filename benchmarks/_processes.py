"""Memory and processor time of a running process and its children."""

from __future__ import annotations

from contextlib import suppress

import psutil


def held_mb(pid: int) -> float:
    """Return the memory in MB of a process and its children, shared pages divided among them (PSS)."""
    total = 0
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for member in family:
        with suppress(psutil.NoSuchProcess):  # the process has ended; the others still count
            total += member.memory_full_info().pss
    return total / 2**20


def used_cpu_s(pid: int) -> float:
    """Return the processor seconds that a process and its children have used so far; 0 if it has ended."""
    total = 0.0
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for member in family:
        with suppress(psutil.NoSuchProcess):
            times = member.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total
