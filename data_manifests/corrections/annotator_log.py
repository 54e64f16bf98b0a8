"""The annotations of one annotator in memory: their latest values, their saves, and the events that undo a save."""

from __future__ import annotations

import re
import threading
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from secrets import token_hex
from sys import intern
from typing import Any

from data_manifests.corrections.annotations import Annotation
from data_manifests.corrections.log import LogReader, append_corrections
from data_manifests.corrections.record import Correction
from data_manifests.errors import CorrectionError

_SAVE_ID = re.compile(r"[0-9a-z]{8,40}")
_MAX_SAVES = 200  # saves of one kind (the first letter of their ids) that can be undone

LabelKey = tuple[str, str]  # sample_id (empty: all photos of the person), field


class AnnotationHistory:
    """The events of one annotator, added one by one.

    The latest annotation of a photo's label is the latest of those of the photo and of its person. An event with
    `undoes` removes the save that it names and states again what held before it.
    """

    def __init__(self) -> None:
        self._labels: dict[str, dict[LabelKey, list[Annotation]]] = {}  # by person
        self._saves: dict[str, list[Correction]] = {}  # that can be undone, by `save_key`, in order
        self._kept: dict[str, deque[str]] = {}  # their keys, by kind
        self._restated: dict[str, list[tuple[str, LabelKey]]] = {}  # by save: person and label of restated values
        self._save_ids: set[str] = set()  # also of saves that were undone
        self._time_text, self._time = "", datetime.min

    # -- events -------------------------------------------------------------------------------------------------
    def add(self, record: Correction, file: str, line: int) -> None:
        """Add an event that stands on a line (from 1) of a file."""
        if record.save_id:
            self._save_ids.add(record.save_id)
        save, undo = intern(record.save_key), ""
        person, key = record.person_id, _key_of(record)
        if record.undoes:
            self._remove(self._save_named(record.undoes))
            undo = save
            before = self._latest_without(save, person, key)
            save = before.save if before and before.value == record.new else ""
            if save:
                self._restated.setdefault(save, []).append((person, key))
        else:
            if save not in self._saves:
                self._keep(save)
            self._saves[save].append(record)
        if record.time != self._time_text:  # the records of a save share one object: a log may have a million
            self._time_text, self._time = record.time, datetime.fromisoformat(record.time)
        annotation = Annotation(intern(record.new), intern(record.old), self._time, file, line, save, undo)
        events = self._labels.setdefault(person, {}).setdefault(key, [])
        if not events or events[-1].order < annotation.order:
            events.append(annotation)
        else:
            insort(events, annotation, key=attrgetter("order"))

    def _keep(self, save: str) -> None:
        self._saves[save] = []
        names = self._kept.setdefault(save[:1], deque())
        names.append(save)
        if len(names) > _MAX_SAVES:
            self._saves.pop(names.popleft(), None)

    def _save_named(self, name: str) -> str:
        """Return the key of the save that `undoes` names, by its id or by the id of one of its records."""
        if name in self._saves:
            return name
        found = (save for save, records in self._saves.items() if any(one.correction_id == name for one in records))
        return next(found, name)

    def _remove(self, save: str) -> None:
        labels = [(record.person_id, _key_of(record)) for record in self._saves.pop(save, ())]
        for person, key in labels + self._restated.pop(save, []):
            events = self._labels[person][key]
            events[:] = [event for event in events if event.save != save]

    # -- annotations --------------------------------------------------------------------------------------------
    def latest(self, sample_id: str, person_id: str, field: str) -> str:
        """Return the latest value that a photo's label was given; empty if there is none."""
        found = self._latest(person_id, (sample_id, field))
        return found.value if found else ""

    def _latest(
        self, person: str, key: LabelKey, counts: Callable[[Annotation], bool] = lambda _: True
    ) -> Annotation | None:
        """Return the latest event of a label among those that count."""
        sample, field = key
        labels = self._labels.get(person, {})
        lists = [labels.get(key, ())]
        if sample:
            lists += [labels.get(("", field), ()), self._labels.get("", {}).get(key, ()) if person else ()]
        found = (next((one for one in reversed(events) if counts(one)), None) for events in lists)
        return max((event for event in found if event), key=attrgetter("order"), default=None)

    def _latest_without(self, save: str, person: str, key: LabelKey) -> Annotation | None:
        """Return the latest event of a label, not counting those of a save.

        Events of an undo do not count either: they state again what the events before them state, and a withdrawal
        among them would hide an older value of a photo.
        """
        return self._latest(person, key, lambda one: one.save != save and not one.undo)

    def changes(self, person_id: str) -> dict[LabelKey, str]:
        """Return the latest values of a person's labels where they are not the values that the annotator saw."""
        labels = {key: events[-1] for key, events in self._labels.get(person_id, {}).items() if events}
        found = {key: event.value for key, event in labels.items() if not key[0] and _is_change(event)}
        for key, event in labels.items():
            whole = labels.get(("", key[1])) if key[0] else None
            if not key[0] or (whole and whole.order > event.order):
                continue
            if _is_change(event):
                found[key] = event.value
            elif ("", key[1]) in found:  # the person's value does not hold for this photo
                found[key] = event.value or event.old
        return found

    def labelled(self, field: str) -> tuple[set[str], set[str]]:
        """Return the ids of the photos and people whose label has an event, perhaps a withdrawal."""
        samples, people = set(), set()
        for person, labels in self._labels.items():
            for sample, name in labels:
                if name == field:
                    samples.add(sample) if sample else people.add(person)
        return samples, people

    # -- saves --------------------------------------------------------------------------------------------------
    def has_save(self, save_id: str) -> bool:
        """Return whether a save of that id was made, also if it was undone."""
        return save_id in self._save_ids

    def saves(self) -> Iterator[tuple[str, list[Correction]]]:
        """Iterate over the saves that can be undone, as key and records, latest first."""
        return reversed(self._saves.items())

    def records_of(self, save: str) -> list[Correction]:
        """Return the records of a save that can be undone; none for another."""
        return self._saves.get(save, [])

    def undo_records(self, save: str) -> tuple[list[Correction], int]:
        """Return the events that undo a save, and the number of labels that they change.

        A label that was annotated again since keeps its later value.
        """
        records = self.records_of(save)
        current = [one for one in records if self._labels[one.person_id][_key_of(one)][-1].save == save]
        restated = [again for record in current or records[:1] for again in self._restate(record, save)]
        undo_id, now = f"u{token_hex(8)}", datetime.now(UTC).isoformat()
        events = [
            replace(record, correction_id=f"{undo_id}-{i}", save_id=undo_id, time=now, note="")
            for i, record in enumerate(restated)
        ]
        return events, len(current)

    def _restate(self, record: Correction, save: str) -> list[Correction]:
        """Return the events that give a label, and those of single photos that it covers, the values before a save."""
        person, key = record.person_id, _key_of(record)
        before = self._latest_without(save, person, key)
        value = before.value if before else ""
        event = replace(record, new=value, undoes=record.undo_key)
        if record.scope == "sample":
            return [event]
        samples = sorted(sample for sample, field in self._labels[person] if sample and field == record.field)
        own = {sample: self._latest_without(save, person, (sample, record.field)) for sample in samples}
        return [event] + [
            replace(event, scope="sample", sample_id=sample, new=found.value if found else "", image_sha256="")
            for sample, found in own.items()
            if (found.value if found else "") != value
        ]


def _key_of(record: Correction) -> LabelKey:
    return record.sample_id if record.scope == "sample" else "", intern(record.field)


def _is_change(event: Annotation) -> bool:
    return bool(event.value) and event.value != event.old


class AnnotatorLog:
    """An annotator's own log, read as it grows. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._restart()

    def _restart(self) -> None:
        self.history = AnnotationHistory()
        self._reader = LogReader(self.path)

    def refresh(self) -> None:
        """Read what was added to the log since."""
        with self._lock:
            if self._reader.has_restarted():
                self._restart()
            if self.path.exists():
                for line, record in self._reader.read_new([]):
                    self.history.add(record, self.path.name, line)

    def latest_of(self, row: Mapping[str, Any], field: str) -> str | None:
        """Return the latest value that this annotator gave to the label of a photo's row; None if there is none.

        Confirming a label gives it a value too.
        """
        return self.history.latest(row["sample_id"], row["person_id"], field) or None

    def save(self, save_id: str, records: Sequence[Correction]) -> None:
        """Write records as one save, whole or not at all, and return when they are on the disk.

        A save that is in the log already is left alone. Raises CorrectionError for an id that is not allowed, and as
        `append_corrections`.
        """
        if not _SAVE_ID.fullmatch(save_id):
            raise CorrectionError(
                f"the id of a save is 8 to 40 lower-case letters and digits. Got {save_id!r} instead."
            )
        with self._lock:
            self.refresh()
            if not self.history.has_save(save_id) and records:
                named = [
                    replace(record, correction_id=f"{save_id}-{i}", save_id=save_id) for i, record in enumerate(records)
                ]
                append_corrections(self.path, named)
                self.refresh()

    def undo(self, save_id: str) -> int:
        """Undo a save by further events and return the number of labels that changed."""
        with self._lock:
            self.refresh()
            events, changed = self.history.undo_records(save_id)
            if events:
                append_corrections(self.path, events)
                self.refresh()
            return changed

    def last_save(self, kind: str) -> tuple[str, list[Correction]]:
        """Return the latest save that can be undone whose id starts with `kind`, as id and records; else empty ones."""
        with self._lock:
            return next(((name, records) for name, records in self.history.saves() if name.startswith(kind)), ("", []))
