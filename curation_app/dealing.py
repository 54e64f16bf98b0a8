"""Who works on whom: people are dealt out to several annotators at one server, without overlap or with a set one.

What has been seen is read from the logs (`progress`). Whom somebody has on the screen or next stands here, in the
server's memory, and runs out: a closed tab or a killed server blocks nobody.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import numpy as np

from curation_app.progress import Progress
from data_manifests.files import write_atomic

LEASE_S = 900.0  # somebody may think, or fetch a coffee
EVERYBODY = 0  # each annotator sees everybody


class Deals:
    """Whom each annotator holds at one manifest, by `person_id`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until: dict[str, dict[str, float]] = {}  # person -> annotator -> when the lease runs out

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
        has seen.
        """
        with self._lock:
            self._forget()
            free = ~progress.seen_by(annotator)
            if looks != EVERYBODY or unseen_only:
                taken = progress.looks - progress.seen_by(annotator)
                for person_id, holders in self._until.items():
                    number = progress.number_of(person_id)
                    if number is not None:
                        taken[number] += sum(
                            name != annotator and not progress.seen_by(name)[number] for name in holders
                        )
                free &= taken < (1 if unseen_only else looks)
            free[list(without)] = False
            dealt = order[free[order]][:count].tolist()
            for number in dealt if annotator else []:  # who only looks keeps nobody from work
                self._hold(annotator, progress.people[number])
        return dealt

    def renew(self, annotator: str, people: Iterable[str]) -> None:
        """Somebody is at work: what they hold stays theirs for another while."""
        with self._lock:
            for person_id in people:
                self._hold(annotator, person_id)

    def release(self, annotator: str, people: Iterable[str]) -> None:
        """Give people back."""
        with self._lock:
            for person_id in people:
                self._until.get(person_id, {}).pop(annotator, None)

    def _hold(self, annotator: str, person_id: str) -> None:
        self._until.setdefault(person_id, {})[annotator] = self._clock() + LEASE_S

    def _forget(self) -> None:
        now = self._clock()
        for person_id in list(self._until):
            holders = {name: until for name, until in self._until[person_id].items() if until > now}
            if holders:
                self._until[person_id] = holders
            else:
                del self._until[person_id]


def read_looks(folder: Path) -> int:
    """How many annotators are to see each person, as set for a manifest (the folder of its logs); 1 unless set."""
    try:
        return max(EVERYBODY, int(json.loads((folder / "desk.json").read_text("utf8"))["looks"]))
    except (OSError, ValueError, KeyError, TypeError):
        return 1


def write_looks(folder: Path, looks: int) -> None:
    """Set it, for all annotators."""
    write_atomic(folder / "desk.json", json.dumps({"looks": looks}).encode())
