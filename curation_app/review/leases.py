"""Assignment of people to annotators: each person to one annotator, to a set number of them, or to all.

The logs state who has been seen. The people that an annotator has on the screen or next are leased in a small database
beside the logs, so that two servers on one workspace never assign the same person twice. A lease expires, so a closed
tab or a killed server blocks no person for longer. It outlives the save: a server that has not read the newest lines of
the logs yet does not assign the person again.
"""

from __future__ import annotations

import json
import shlex
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from curation_app.annotations import ReviewProgress
from data_manifests.errors import CorrectionError, ManifestError, disk_error_message
from data_manifests.files import open_database, read_json
from data_manifests.versions import write_atomic

LEASE_S = 900.0  # long enough for a difficult case or a break
ALL_ANNOTATORS = 0  # each annotator sees each person
_FILE = ".held.sqlite"
_TABLE = "CREATE TABLE IF NOT EXISTS held (person TEXT, annotator TEXT, until REAL, PRIMARY KEY (person, annotator))"
_TIMEOUT_S = 10
_SETTINGS = (("review.json", "annotators_per_person"), ("desk.json", "looks"))  # file and key; the second is older


class AssignmentLeases:
    """The leases of all annotators of one manifest, by `person_id`; `folder` is that of the manifest's logs."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock

    def assign(
        self,
        annotator: str,
        order: np.ndarray,
        progress: ReviewProgress,
        annotators_per_person: int,
        count: int,
        *,
        without: Collection[int] = (),
        unseen_only: bool = False,
    ) -> list[int]:
        """Return and lease the next `count` people (numbers) of an order for an annotator.

        Left out are people that the annotator has seen, people that `annotators_per_person` others have seen or hold,
        and `without`; with `unseen_only`, people that any annotator has seen. ALL_ANNOTATORS sets no limit. A visitor
        without a name leases no people and may see people that others hold. Raises CorrectionError if the database
        cannot be written.
        """
        if not annotator:
            return _next(annotator, order, progress, annotators_per_person, count, without, unseen_only, [])
        with self._transaction() as held:
            others = held.execute("SELECT person, annotator FROM held WHERE annotator != ?", (annotator,)).fetchall()
            assigned = _next(annotator, order, progress, annotators_per_person, count, without, unseen_only, others)
            self._lease(held, annotator, [progress.people[number] for number in assigned])
        return assigned

    def renew(self, annotator: str, people: Iterable[str]) -> None:
        """Extend an annotator's leases of these people."""
        with self._transaction() as held:
            self._lease(held, annotator, people)

    def release(self, annotator: str, people: Iterable[str]) -> None:
        """End an annotator's leases of these people."""
        with self._transaction() as held:
            rows = [(annotator, person_id) for person_id in people]
            held.executemany("DELETE FROM held WHERE annotator = ? AND person = ?", rows)

    def _lease(self, held: sqlite3.Connection, annotator: str, people: Iterable[str]) -> None:
        rows = [(str(person_id), annotator, self._clock() + LEASE_S) for person_id in people]
        held.executemany("INSERT OR REPLACE INTO held VALUES (?, ?, ?)", rows)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Open the database of leases that have not expired, for one server at a time."""
        try:
            path = self._folder / _FILE
            remedy = f"Delete it; only the present assignment of people is lost: rm {shlex.quote(str(path))}"
            with open_database(
                path, remedy, error=CorrectionError, timeout=_TIMEOUT_S, isolation_level=None
            ) as connection:
                connection.execute("PRAGMA synchronous=OFF")  # a lease lost in a power cut does no harm
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(_TABLE)
                connection.execute("DELETE FROM held WHERE until <= ?", (self._clock(),))
                yield connection
                connection.execute("COMMIT")
        except (OSError, sqlite3.Error) as error:
            trouble = disk_error_message(error, self._folder)
            if trouble is None:
                raise
            raise CorrectionError(trouble) from None


def _next(
    annotator: str,
    order: np.ndarray,
    progress: ReviewProgress,
    annotators_per_person: int,
    count: int,
    without: Collection[int],
    unseen_only: bool,
    held: Iterable[tuple[str, str]],
) -> list[int]:
    own = progress.seen_by(annotator)
    free = ~own
    if annotators_per_person != ALL_ANNOTATORS or unseen_only:
        taken = progress.review_counts - own
        for person_id, name in held:
            number = progress.number_of(person_id)
            if number is not None and not progress.seen_by(name)[number]:
                taken[number] += 1
        free &= taken < (1 if unseen_only else annotators_per_person)
    free[list(without)] = False
    people: list[int] = order[free[order]][:count].tolist()
    return people


def read_annotators_per_person(folder: Path) -> int:
    """Return how many annotators should see each person, a setting in the folder of a manifest's logs; 1 by default."""
    for name, key in _SETTINGS:
        try:
            return max(ALL_ANNOTATORS, int(read_json(folder / name)[key]))
        except (ManifestError, ValueError, KeyError, TypeError):
            continue
    return 1


def write_annotators_per_person(folder: Path, number: int) -> None:
    """Store the setting for all annotators of a manifest."""
    name, key = _SETTINGS[0]
    write_atomic(folder / name, json.dumps({key: number}).encode())
