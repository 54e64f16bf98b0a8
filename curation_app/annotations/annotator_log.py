"""What one annotator has said, photo by photo, read from their log; many records are saved and taken back as one.

The records of one save carry its name in their ids: `NAME-0`, `NAME-1`, …; those that take it back `NAME-undo-0`, …. So
a save that arrives twice is written once, and the last one can be taken back after a restart too.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from curation_app.annotations.review_progress import LogFile
from data_manifests.corrections import Correction, append_corrections
from data_manifests.errors import CorrectionError

_SAVE = re.compile(r"[0-9a-z]{8,40}")
_PART = re.compile(r"([0-9a-z]{8,40})(-undo)?-\d+")

_Label = tuple[str, str, str]  # scope, the id of the sample or the person, field


@dataclass(frozen=True)
class _Word:
    at: int  # place in the log
    new: str  # empty: taken back
    save: str


class Words:
    """An annotator's own log and the latest word about each label in it. Safe to share between sessions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._forget()

    def _forget(self) -> None:
        self._file = LogFile()
        self._records = 0
        self._said: dict[_Label, list[_Word]] = {}
        self._samples_of: dict[tuple[str, str], set[str]] = {}  # person, field → samples spoken of by themselves
        self._saves: dict[str, list[Correction]] = {}  # by name, in order; taken back: no longer here
        self._names: set[str] = set()  # of all saves, also of those that were taken back

    def refresh(self) -> None:
        """Read what was added to the log since."""
        with self._lock:
            size = self.path.stat().st_size if self.path.exists() else 0
            if size < self._file.read_to:
                self._forget()
            if size > self._file.read_to:
                for record in self._file.added(self.path, []):
                    self._take(record)

    def _take(self, record: Correction) -> None:
        part = _PART.fullmatch(record.correction_id)
        save = part[1] if part else ""
        if part and part[2]:
            self._forget_save(save)  # the records that undo it say again what held before it, which is known here
            return
        self._said.setdefault(_label_of(record), []).append(_Word(self._records, record.new, save))
        self._records += 1
        if record.scope == "sample":
            self._samples_of.setdefault((record.person_id, record.field), set()).add(record.sample_id)
        if save:
            self._saves.setdefault(save, []).append(record)
            self._names.add(save)

    def _forget_save(self, save: str) -> None:
        for record in self._saves.pop(save, ()):
            label = _label_of(record)
            self._said[label] = [word for word in self._said[label] if word.save != save]

    # -- asking -------------------------------------------------------------------------------------------------
    def of(self, row: Mapping[str, Any], field: str) -> str | None:
        """What this annotator says of a photo's label now; None if nothing. Also what they confirmed counts."""
        return self._of(row["sample_id"], row["person_id"], field) or None

    def _of(self, sample: str, person: str, field: str) -> str:
        """The latest word about a photo or its person; empty if there is none."""
        found = [self._said.get(label) for label in (("sample", sample, field), ("person", person, field))]
        words = [said[-1] for said in found if said]
        return max(words, key=lambda word: word.at).new if words else ""

    def about(self, field: str) -> tuple[set[str], set[str]]:
        """Photos and people whose label was spoken of; it may have been taken back."""
        said = [(scope, name) for scope, name, about in self._said if about == field]
        return {name for scope, name in said if scope == "sample"}, {name for scope, name in said if scope == "person"}

    def is_saved(self, save: str) -> bool:
        """Whether a save of that name is in the log."""
        return save in self._names

    # -- writing ------------------------------------------------------------------------------------------------
    def save(self, save: str, records: Sequence[Correction]) -> None:
        """Write records as one save, whole or not at all, and return when they are on the disk.

        A save that is already there is left alone. Raises CorrectionError for a name that is none, and as
        `append_corrections`.
        """
        if not _SAVE.fullmatch(save):
            raise CorrectionError(f"the name of a save is 8 to 40 small letters and digits. Got {save!r} instead.")
        with self._lock:
            self.refresh()
            if not self.is_saved(save) and records:
                named = [replace(record, correction_id=f"{save}-{i}") for i, record in enumerate(records)]
                append_corrections(self.path, named)
                self.refresh()

    def last_save(self, kind: str) -> tuple[str, list[Correction]]:
        """The latest save that was not taken back, of those whose names begin with `kind`; empty if there is none."""
        return next(((name, said) for name, said in reversed(self._saves.items()) if name.startswith(kind)), ("", []))

    def take_back(self, save: str) -> int:
        """Undo a save by further records, which say again what was said before it, or nothing.

        Labels about which something was said since keep their later word. Gives the number of labels that changed.
        """
        with self._lock:
            self.refresh()
            records = self._saves.get(save, [])
            last = [record for record in records if self._said[_label_of(record)][-1].save == save]
            self._forget_save(save)
            undo = [again for record in last for again in self._again(record)]
            if undo:
                now = datetime.now(UTC).isoformat()
                named = [replace(record, correction_id=f"{save}-undo-{i}", time=now) for i, record in enumerate(undo)]
                try:
                    append_corrections(self.path, named)
                except OSError:
                    self._forget()  # it is not undone on the disk, so it is not here
                    raise
                self.refresh()
            return len(last)

    def _again(self, record: Correction) -> list[Correction]:
        """What is said of a record's label now that its save is forgotten."""
        sample, person, field = record.sample_id, record.person_id, record.field
        if record.scope == "sample":
            return [replace(record, new=self._of(sample, person, field))]
        said = self._said[_label_of(record)]
        now = said[-1].new if said else ""
        own = {name: self._of(name, person, field) for name in sorted(self._samples_of.get((person, field), ()))}
        return [replace(record, new=now)] + [
            replace(record, scope="sample", sample_id=name, new=word, image_sha256="")
            for name, word in own.items()
            if word != now  # a word about one photo, which the record about the person would cover
        ]


def _label_of(record: Correction) -> _Label:
    return record.scope, record.sample_id if record.scope == "sample" else record.person_id, record.field
