"""Progress of a computation on standard error: a line at once, then a bar in a terminal or a few lines in a log.

The rate, and the remaining time that follows from it, count results from the first one on: starting workers and
loading models is no part of them, and neither are results kept by earlier runs.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")

WINDOW_S = 30.0  # the rate is that of the last results, so it follows workers that start later and other programs
MIN_RESULTS, MIN_SECONDS = 8, 2.0  # after the first result; a rate from less misleads
BURST_S = 0.2  # results that arrive within this time of the first are counted with it
TICK_S = 1.0  # between two drawings of the bar, also while no result arrives
LOG_AFTER_S, LOG_GROWTH = 15.0, 1.5  # the first line of a log, and the ratio of the times of two lines
MAX_COLUMNS = 110
BAR_FORMAT = "{desc}: {percentage:3.0f}% |{bar}| {n_fmt} of {total_fmt} [{elapsed}, {remaining} left, {rate_noinv_fmt}]"

SINGULAR = {"people": "person", "batches": "batch"}  # of units that do not just end in s


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, such as `1 photo` or `1,200 photos`; `plural` where it is not the noun + s."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def announce(text: str) -> None:
    """Write a line that states what begins now."""
    with tqdm.external_write_mode(file=sys.stderr):
        print(text, file=sys.stderr, flush=True)


def show_progress(results: Iterable[T], name: str, total: int, unit: str = "photos") -> Iterator[T]:
    """Yield `results`, of which there are `total`, and report how many there are, the rate and the remaining time."""
    with _Bar(name, total, unit) if sys.stderr.isatty() else _Log(name, total, unit) as report:
        for result in results:
            report.add_one()
            yield result


class Rate:
    """The results of the last half minute, for a rate; `now` is a time in seconds."""

    def __init__(self) -> None:
        self.count = 0
        self._times: deque[tuple[float, int]] = deque()

    def add_one(self, now: float) -> None:
        """Count one result."""
        self.count += 1
        if len(self._times) == 1 and now - self._times[0][0] < BURST_S:
            self._times[0] = self._times[0][0], self.count
            return
        self._times.append((now, self.count))
        while self._times[-1][0] - self._times[0][0] > WINDOW_S and len(self._times) > MIN_RESULTS + 1:
            self._times.popleft()

    def per_second(self) -> float | None:
        """Return results per second, None while there are too few."""
        if not self._times:
            return None
        (start, before), (end, after) = self._times[0], self._times[-1]
        if after - before < MIN_RESULTS or end - start < MIN_SECONDS:
            return None
        return (after - before) / (end - start)


class _Bar(tqdm):
    """A bar whose rate is that of `Rate` and that is drawn at least every TICK_S."""

    def __init__(self, name: str, total: int, unit: str) -> None:
        self._results = Rate()
        self._ended = threading.Event()
        columns = min(shutil.get_terminal_size().columns, MAX_COLUMNS)  # some terminals state a size of 0 × 0
        super().__init__(
            total=total, desc=name, unit=f" {unit}", bar_format=BAR_FORMAT, file=sys.stderr, ncols=columns, nrows=20
        )
        threading.Thread(target=self._draw_regularly, daemon=True).start()

    def add_one(self) -> None:
        """Count one result."""
        self._results.add_one(time.monotonic())
        self.update()

    @property
    def format_dict(self) -> dict[str, Any]:
        """Return the values of the bar; a rate of 0 is drawn as `?`."""
        return {**super().format_dict, "rate": self._results.per_second() or 0}

    def _draw_regularly(self) -> None:
        while not self._ended.wait(TICK_S):
            self.refresh()

    def close(self) -> None:
        """End the bar."""
        self._ended.set()
        super().close()


class _Log:
    """Lines for a file or a pipe: few, each complete."""

    def __init__(self, name: str, total: int, unit: str) -> None:
        self._name, self._total, self._unit = name, total, unit
        self._results = Rate()
        self._start = time.monotonic()
        self._next_s = LOG_AFTER_S

    def __enter__(self) -> _Log:
        return self

    def __exit__(self, *error: object) -> None:
        if self._results.count == self._total:
            seconds = tqdm.format_interval(time.monotonic() - self._start)
            one = SINGULAR.get(self._unit, self._unit.removesuffix("s"))
            announce(f"{self._name}: {counted(self._total, one, self._unit)} in {seconds}")

    def add_one(self) -> None:
        """Count one result, and write a line if it is time for one."""
        now = time.monotonic()
        self._results.add_one(now)
        count, rate = self._results.count, self._results.per_second()
        if rate is None or now - self._start < self._next_s or count == self._total:
            return
        left = tqdm.format_interval((self._total - count) / rate)
        announce(f"{self._name}: {count:,} of {self._total:,} {self._unit}, {rate:.1f} a second, {left} left")
        self._next_s = LOG_GROWTH * (now - self._start)
