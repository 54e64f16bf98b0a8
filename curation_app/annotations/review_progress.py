"""The progress of the review, read from the logs: people that each annotator has reviewed, and saves to undo.

The review page ends what it saves about a person with a record `unsure` of that person: `false` if the annotator could
decide all labels, `true` if not. The record marks the person as seen by the annotator; records made on other pages do
not.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np

from data_manifests.corrections import UNSURE, AnnotationHistory, Correction, LabelKey, LogReader
from data_manifests.errors import CorrectionError


@dataclass(frozen=True)
class ReviewSave:
    """One save of the review page about a person (number)."""

    person: int
    key: str
    records: tuple[Correction, ...]


class _Annotator:
    def __init__(self, people: int) -> None:
        self.seen = np.zeros(people, bool)
        self.history = AnnotationHistory()
        self.people_seen_on: Counter[date] = Counter()


class ReviewProgress:
    """The logs of one manifest, for the people (P,) of one of its versions. `refresh` reads what was added."""

    def __init__(self, people: np.ndarray) -> None:
        self.people = people
        self._lock = threading.RLock()
        self._restart()

    def _restart(self) -> None:
        self.review_counts = np.zeros(len(self.people), np.int16)  # annotators that have seen each person
        self.problems: list[str] = []
        self._annotators: dict[str, _Annotator] = {}
        self._readers: dict[Path, LogReader] = {}

    # -- queries ------------------------------------------------------------------------------------------------
    def number_of(self, person_id: str) -> int | None:
        """Return a person's number; None if this version has no photo of them."""
        at = bisect_left(self.people, person_id)
        return at if at < len(self.people) and self.people[at] == person_id else None

    def seen_by(self, annotator: str) -> np.ndarray:
        """Return which people (P,) an annotator has reviewed."""
        return self._annotator(annotator).seen

    def seen_on(self, annotator: str, day: date) -> int:
        """Return how many people an annotator reviewed on a day (local time)."""
        return self._annotator(annotator).people_seen_on[day]

    def changes(self, annotator: str, person: int) -> dict[LabelKey, str]:
        """Return an annotator's values of a person's labels where they are not the values in the manifest."""
        return self._annotator(annotator).history.changes(str(self.people[person]))

    def last_save(self, annotator: str) -> ReviewSave | None:
        """Return the latest save of the review page that can be undone."""
        return next(self._review_saves(annotator), None)

    def undo_records(self, annotator: str, save: ReviewSave) -> list[Correction]:
        """Return the records that undo a save: they state again what the annotator had stated before, or nothing."""
        return self._annotator(annotator).history.undo_records(save.key)[0]

    def history(self, annotator: str) -> list[int]:
        """Return the people that an annotator reviewed, latest last."""
        return list(dict.fromkeys(save.person for save in self._review_saves(annotator)))[::-1]

    def _review_saves(self, annotator: str) -> Iterator[ReviewSave]:
        for key, records in self._annotator(annotator).history.saves():
            person = self.number_of(records[-1].person_id)
            if person is not None and any(_is_mark(record) for record in records):
                yield ReviewSave(person, key, tuple(records))

    def _annotator(self, name: str) -> _Annotator:
        if name not in self._annotators:
            self._annotators[name] = _Annotator(len(self.people))
        return self._annotators[name]

    # -- reading ------------------------------------------------------------------------------------------------
    def refresh(self, paths: Iterable[Path]) -> None:
        """Read what was added to these logs. If one was replaced or is gone, all of them are read again."""
        with self._lock:
            paths = list(paths)
            if any(path not in paths or reader.has_restarted() for path, reader in self._readers.items()):
                self._restart()
            for path in paths:
                reader = self._readers.setdefault(path, LogReader(path))
                try:
                    records = reader.read_new(self.problems)
                except (OSError, CorrectionError) as error:
                    self._add_problem(f"{path.name}: {error}")
                    continue
                for line, record in records:
                    self._add(record, path.name, line)

    def _add_problem(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def _add(self, record: Correction, file: str, line: int) -> None:
        person = self.number_of(record.person_id)
        if person is None:
            return  # a person that this version does not have
        own = self._annotator(record.annotator)
        own.history.add(record, file, line)
        if not _is_mark(record):
            return
        seen = bool(record.new)
        self.review_counts[person] += int(seen) - int(own.seen[person])
        own.seen[person] = seen
        if seen and not record.undoes:
            own.people_seen_on[datetime.fromisoformat(record.time).astimezone().date()] += 1


def _is_mark(record: Correction) -> bool:
    return record.field == UNSURE and record.scope == "person"
