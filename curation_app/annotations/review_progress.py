"""How far the review is, read from the logs on disk: who has seen whom, what was said, what can be undone.

The review page ends what it saves about a person with a record `unsure` about that person: `false`, looked and could
tell, or `true`, could not. It marks a person as seen by an annotator; marks made elsewhere (the grid) do not.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np

from data_manifests.corrections import UNSURE, Correction, read_header, read_record
from data_manifests.errors import CorrectionError

UNDO = "undo: "  # a note that begins so takes back the save that holds the record with that id
_KEPT = 200  # saves that can be undone, per annotator

Label = tuple[str, str]  # sample_id (empty: all of the person's photos), field


@dataclass(frozen=True)
class Saved:
    """What one key press wrote about a person: the records, and what the annotator had said before (empty: nothing)."""

    person: int
    records: tuple[Correction, ...]
    before: tuple[str, ...]


class _Annotator:
    def __init__(self, people: int) -> None:
        self.seen = np.zeros(people, bool)
        self.words: dict[int, dict[Label, str]] = {}  # only what differs from the label as it was seen
        self.saves: deque[Saved] = deque(maxlen=_KEPT)
        self.days: Counter[date] = Counter()
        self.open = Saved(
            -1, (), ()
        )  # the latest without a mark: perhaps the beginning of a save that is being written


class Progress:
    """The logs of one manifest, for the people (P,) of one of its versions. `refresh` reads what was added."""

    def __init__(self, people: np.ndarray) -> None:
        self.people = people
        self._lock = threading.RLock()
        self._forget()

    def _forget(self) -> None:
        self.looks = np.zeros(len(self.people), np.int16)  # annotators who have seen each person
        self.problems: list[str] = []
        self._of: dict[str, _Annotator] = {}
        self._files: dict[Path, LogFile] = {}

    # -- asking -------------------------------------------------------------------------------------------------
    def number_of(self, person_id: str) -> int | None:
        """A person's number; None if this version has no photo of them."""
        at = bisect_left(self.people, person_id)
        return at if at < len(self.people) and self.people[at] == person_id else None

    def seen_by(self, annotator: str) -> np.ndarray:
        """Whom (P,) an annotator has settled."""
        return self._annotator(annotator).seen

    def seen_on(self, annotator: str, day: date) -> int:
        """How many people an annotator settled that day (local time)."""
        return self._annotator(annotator).days[day]

    def words(self, annotator: str, person: int) -> dict[Label, str]:
        """What an annotator says of a person's labels where it is not what the manifest said."""
        return self._annotator(annotator).words.get(person, {})

    def last(self, annotator: str) -> Saved | None:
        """What `undo` would take back."""
        saves = self._annotator(annotator).saves
        return saves[-1] if saves else None

    def trail(self, annotator: str) -> list[int]:
        """People whom an annotator settled, the latest last."""
        return list(dict.fromkeys(saved.person for saved in reversed(self._annotator(annotator).saves)))[::-1]

    def _annotator(self, name: str) -> _Annotator:
        if name not in self._of:
            self._of[name] = _Annotator(len(self.people))
        return self._of[name]

    # -- reading ------------------------------------------------------------------------------------------------
    def refresh(self, paths: Iterable[Path]) -> None:
        """Read what was added to these logs. A log that became shorter or is gone is read again with all others."""
        with self._lock:
            self._refresh(list(paths))

    def _refresh(self, paths: list[Path]) -> None:
        if any(path not in paths for path in self._files):
            self._forget()
        for path in paths:
            file = self._files.setdefault(path, LogFile())
            try:
                if path.stat().st_size < file.read_to:
                    self._forget()
                    return self._refresh(paths)
                added = file.added(path, self.problems)
            except (OSError, CorrectionError) as error:
                self._tell(f"{path.name}: {error}")
                continue
            self._take(added)
        return None

    def _tell(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def _take(self, records: list[Correction]) -> None:
        """Records of one save share annotator, person and time and stand together."""
        save: list[Correction] = []
        for record in records:
            if save and _save_of(record) != _save_of(save[0]):
                self._take_save(save)
                save = []
            save.append(record)
        if save:
            self._take_save(save)

    def _take_save(self, save: list[Correction]) -> None:
        person = self.number_of(save[0].person_id)
        if person is None:
            return  # of a person whom this version does not have
        own = self._annotator(save[0].annotator)
        words = own.words.setdefault(person, {})
        was_seen = bool(own.seen[person])
        before = tuple(_word_before(words, record, was_seen) for record in save)
        for record in save:
            _say(words, record)
        if not words:
            del own.words[person]
        whole = Saved(person, tuple(save), before)
        if own.open.records and _save_of(own.open.records[0]) == _save_of(save[0]):
            whole = Saved(person, own.open.records + whole.records, own.open.before + before)
        own.open = whole
        marks = [record for record in save if record.field == UNSURE and record.scope == "person"]
        if not marks:
            return
        self._mark(own, person, seen=bool(marks[-1].new))
        if marks[-1].note.startswith(UNDO):
            undone = marks[-1].note.removeprefix(UNDO)
            if own.saves and any(record.correction_id == undone for record in own.saves[-1].records):
                own.saves.pop()
            return
        own.saves.append(whole)
        if marks[-1].new:
            own.days[datetime.fromisoformat(marks[-1].time).astimezone().date()] += 1

    def _mark(self, own: _Annotator, person: int, *, seen: bool) -> None:
        self.looks[person] += int(seen) - int(own.seen[person])
        own.seen[person] = seen


class LogFile:
    """A log as far as it was read: up to the end of its last whole line."""

    def __init__(self) -> None:
        self.read_to = 0
        self.line = 0
        self.header: tuple[str, ...] = ()

    def added(self, path: Path, problems: list[str]) -> list[Correction]:
        with path.open("rb") as file:
            file.seek(self.read_to)
            data = file.read()
        data = data[: data.rfind(b"\n") + 1]  # a line that is being written is read when it is whole
        self.read_to += len(data)
        records = []
        for line in data.split(b"\n")[:-1]:
            self.line += 1
            text = line.decode("utf-8-sig" if self.line == 1 else "utf8", "replace").removesuffix("\r")
            if self.line == 1:
                self.header = read_header(text, path)
            elif text.strip() and self.header:
                record, problem = read_record(text, self.header)
                if record:
                    records.append(record)
                else:
                    problems.append(f"{path.name}, line {self.line}, {problem}")
        return records


def _save_of(record: Correction) -> tuple[str, str, str]:
    return record.annotator, record.person_id, record.time


def _word_before(words: dict[Label, str], record: Correction, was_seen: bool) -> str:
    """What the annotator said of this label so far: who has settled a person has said the label was right, or else."""
    label = (record.sample_id if record.scope == "sample" else "", record.field)
    return words.get(label, record.old if was_seen and record.field != "exclude" else "")


def _say(words: dict[Label, str], record: Correction) -> None:
    """The latest word counts, whether it was about one photo or about all of the person's."""
    if record.scope == "person":
        for label in [label for label in words if label[1] == record.field]:
            del words[label]
    label = (record.sample_id if record.scope == "sample" else "", record.field)
    if not record.new or (record.new == record.old and ("", record.field) not in words):
        words.pop(label, None)
    else:
        words[label] = record.new
