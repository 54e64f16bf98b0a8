"""Who works on whom: people are dealt out to several annotators, without overlap or with a set one.

What has been seen is read from the logs (`progress`). Whom somebody has on the screen or next is a lease in a small
database beside the logs, so that several servers at one workspace deal nobody twice. A lease runs out: a closed tab
or a killed server blocks nobody for longer than that. It outlives the save, so a server that has not read the newest
lines of the logs yet does not deal the person again.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from curation_app.annotations import Progress
from data_manifests.errors import CorrectionError, disk_trouble
from data_manifests.versions import write_atomic

LEASE_S = 900.0  # somebody may think, or fetch a coffee
EVERYBODY = 0  # each annotator sees everybody
_FILE = ".held.sqlite"
_TABLE = "CREATE TABLE IF NOT EXISTS held (person TEXT, annotator TEXT, until REAL, PRIMARY KEY (person, annotator))"
_PATIENCE_S = 10


class Deals:
    """Whom each annotator holds at one manifest, by `person_id`; `folder` is that of the manifest's logs."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock

    def deal(
        self,
        annotator: str,
        order: np.ndarray,
        progress: Progress,
        looks: int,
        count: int,
        *,
        without: Collection[int] = (),
        unseen_only: bool = False,
    ) -> list[int]:
        """The next `count` people of an order (numbers) for an annotator, who now holds them and nobody else.

        `looks` is how many annotators are to see each person, EVERYBODY for all of them. Not dealt are people whom
        the annotator has seen, whom enough others have seen or hold, and `without`; with `unseen_only`, whom anybody
        has seen. Who has no name only looks: holds nobody, and may look at whom others hold.
        """
        if not annotator:
            return _next(annotator, order, progress, looks, count, without, unseen_only, [])
        with self._held() as held:
            others = held.execute("SELECT person, annotator FROM held WHERE annotator != ?", (annotator,)).fetchall()
            dealt = _next(annotator, order, progress, looks, count, without, unseen_only, others)
            self._hold(held, annotator, [progress.people[number] for number in dealt])
        return dealt

    def renew(self, annotator: str, people: Iterable[str]) -> None:
        """Somebody is at work: what they hold stays theirs for another while."""
        with self._held() as held:
            self._hold(held, annotator, people)

    def release(self, annotator: str, people: Iterable[str]) -> None:
        """Give people back."""
        with self._held() as held:
            rows = [(annotator, person_id) for person_id in people]
            held.executemany("DELETE FROM held WHERE annotator = ? AND person = ?", rows)

    def _hold(self, held: sqlite3.Connection, annotator: str, people: Iterable[str]) -> None:
        rows = [(str(person_id), annotator, self._clock() + LEASE_S) for person_id in people]
        held.executemany("INSERT OR REPLACE INTO held VALUES (?, ?, ?)", rows)

    @contextmanager
    def _held(self) -> Iterator[sqlite3.Connection]:
        """The leases that have not run out, for one server at a time. Raises CorrectionError if the disk refuses."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._folder / _FILE, timeout=_PATIENCE_S, isolation_level=None)
            try:
                connection.execute("PRAGMA synchronous=OFF")  # a lease that a power cut takes harms nobody
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(_TABLE)
                connection.execute("DELETE FROM held WHERE until <= ?", (self._clock(),))
                yield connection
                connection.execute("COMMIT")
            finally:
                connection.close()  # takes back what was not committed
        except (OSError, sqlite3.Error) as error:
            trouble = disk_trouble(error, self._folder)
            if trouble is None:
                raise
            raise CorrectionError(trouble) from None


def _next(
    annotator: str,
    order: np.ndarray,
    progress: Progress,
    looks: int,
    count: int,
    without: Collection[int],
    unseen_only: bool,
    held: Iterable[tuple[str, str]],
) -> list[int]:
    own = progress.seen_by(annotator)
    free = ~own
    if looks != EVERYBODY or unseen_only:
        taken = progress.looks - own
        for person_id, name in held:
            number = progress.number_of(person_id)
            if number is not None and not progress.seen_by(name)[number]:
                taken[number] += 1
        free &= taken < (1 if unseen_only else looks)
    free[list(without)] = False
    dealt: list[int] = order[free[order]][:count].tolist()
    return dealt


def read_looks(folder: Path) -> int:
    """How many annotators are to see each person, as set for a manifest (the folder of its logs); 1 unless set."""
    try:
        return max(EVERYBODY, int(json.loads((folder / "desk.json").read_text("utf8"))["looks"]))
    except (OSError, ValueError, KeyError, TypeError):
        return 1


def write_looks(folder: Path, looks: int) -> None:
    """Set it, for all annotators."""
    write_atomic(folder / "desk.json", json.dumps({"looks": looks}).encode())
