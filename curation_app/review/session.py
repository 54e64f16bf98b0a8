"""One annotator's review of one queue in one browser tab."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from curation_app import shell
from curation_app.annotations import log_path, log_paths
from curation_app.review.cards import card_of
from curation_app.review.context import ReviewContext
from curation_app.review.decisions import review_records
from curation_app.review.leases import ALL_ANNOTATORS
from curation_app.review.order import Queue, is_ranked, order_of, rank_text, ranks
from data_manifests.corrections import append_corrections
from data_manifests.errors import CorrectionError, ToolkitError
from data_manifests.taxonomy import MAX_AGE

_PREFETCHED = 5  # people assigned in advance, whose pictures are made
_SENT = 3  # of them, people whose pictures are sent as soon as they are made
_HISTORY = 20  # people to whom an annotator can return


@dataclass
class ReviewSession:
    """An annotator's position in a queue. `act` handles a message of the browser, `view` returns what to show.

    Everything that must survive a restart is in the logs: a new session starts where they end.
    """

    context: ReviewContext
    annotator: str  # empty: read only
    queue: Queue
    annotators_per_person: int
    name: str = field(default_factory=lambda: token_hex(8))
    current: int | None = None
    prefetched: list[int] = field(default_factory=list)
    history: list[int] = field(default_factory=list)
    skipped: set[int] = field(default_factory=set)
    seq: int = 0
    error: str = ""
    saved: str = ""
    have: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.order = order_of(self.context.manifest, self.queue)
        self.ranks = ranks(self.context.manifest) if is_ranked(self.context.manifest) else None
        self.refresh()
        self.history = self.context.progress.history(self.annotator)[-_HISTORY:] if self.annotator else []
        if self.queue.kind == "person":
            self.current = int(self.order[0])
        else:
            self._advance()

    # -- messages -----------------------------------------------------------------------------------------------
    def act(self, message: Mapping[str, Any]) -> None:
        """Handle a message of the browser once; `error` is the reason if it failed."""
        if message["session"] != self.name or message["seq"] <= self.seq:
            return  # from an earlier page, or sent again
        self.seq, self.error, self.have = message["seq"], "", frozenset(message["have"])
        try:
            self.refresh()
            handlers = {"next": self._next, "previous": self._previous, "undo": self._undo}
            handlers.get(message["act"], self._save)(message)
            if self.annotator:
                self.context.leases.renew(self.annotator, self._held())
        except ToolkitError as error:
            self.error = str(error)
        except OSError as error:
            self.error = f"Nothing was saved: {error.strerror}. Free disk space or repair the folder, then try again."

    def refresh(self) -> None:
        """Read the corrections that were added to the logs, by this annotator and by others."""
        self.context.progress.refresh(log_paths(self.context.store, self.context.manifest.version))

    def leave(self) -> None:
        """Release the people assigned to this session."""
        if self.annotator:
            self.context.leases.release(self.annotator, self._held())

    def _held(self) -> list[str]:
        held = self.prefetched if self.current is None else [self.current, *self.prefetched]
        return [self._id(person) for person in held]

    def _save(self, message: Mapping[str, Any]) -> None:
        person = self.context.progress.number_of(str(message["person"]))
        if person is None or person not in {self.current, *self.history}:
            raise CorrectionError("This person is not assigned to you. Reload the page.")
        records = review_records(
            self.context.manifest.version,
            self.context.rows_of(person),
            message["shots"],
            self.annotator,
            self.context.progress.changes(self.annotator, person),
            unsure=message["act"] == "unsure",
            note=str(message["note"]).strip(),
        )
        self._write(records)
        if person == self.current:
            self._remember(person)
            self._advance()

    def _next(self, message: Mapping[str, Any]) -> None:
        if self.current is not None:
            if self.annotator and not self.context.progress.seen_by(self.annotator)[self.current]:
                self.context.leases.release(self.annotator, [self._id(self.current)])
            self.skipped.add(self.current)
            self._remember(self.current)
        self._advance()

    def _previous(self, message: Mapping[str, Any]) -> None:
        if not self.history:
            raise CorrectionError("No previous person.")
        self._go_to(self.history.pop())

    def _undo(self, message: Mapping[str, Any]) -> None:
        last = self.context.progress.last_save(self.annotator)
        if last is None:
            raise CorrectionError("Nothing left to undo.")
        self._write(self.context.progress.undo_records(self.annotator, last))
        self.history = [person for person in self.history if person != last.person]
        self._go_to(last.person)

    def _write(self, records: Sequence[Any]) -> None:
        if not self.annotator:
            raise CorrectionError("Enter your name in the sidebar to save corrections.")
        append_corrections(self._log, records)  # returns when it is on the disk
        self.saved = f"saved {datetime.now():%H:%M:%S}"
        self.refresh()

    @property
    def _log(self) -> Path:
        return log_path(self.context.store, self.context.manifest.version, self.annotator)

    # -- the next person ----------------------------------------------------------------------------------------
    def _remember(self, person: int) -> None:
        self.history = [*(other for other in self.history if other != person), person][-_HISTORY:]

    def _go_to(self, person: int) -> None:
        self.prefetched = [other for other in self.prefetched if other != person]
        if self.current is not None and self.current != person:
            self.prefetched.insert(0, self.current)
        self.current = person
        self.skipped.discard(person)
        self.context.pictures.prefetch([person])

    def _advance(self) -> None:
        if self.queue.kind != "person" and len(self.prefetched) < _PREFETCHED:
            self.prefetched += self._assign(_PREFETCHED + 1 - len(self.prefetched))
        self.current = self.prefetched.pop(0) if self.prefetched else None
        self.context.pictures.prefetch(([] if self.current is None else [self.current]) + self.prefetched)

    def _assign(self, count: int) -> list[int]:
        def assign(without: set[int]) -> list[int]:
            return self.context.leases.assign(
                self.annotator,
                self.order,
                self.context.progress,
                self.annotators_per_person,
                count,
                without=without,
                unseen_only=self.queue.kind == "unseen",
            )

        held = {*self.prefetched} if self.current is None else {self.current, *self.prefetched}
        assigned = assign(held | self.skipped)
        if not assigned and not self.prefetched and self.skipped:  # only skipped people are left: show them again
            self.skipped.clear()
            assigned = assign(held)
        return assigned

    def _id(self, person: int) -> str:
        return str(self.context.manifest.people[person])

    # -- what is shown ------------------------------------------------------------------------------------------
    def view(self) -> dict[str, Any]:
        """Return the component's `data`: the current person, the next ones, and pictures that the browser lacks."""
        manifest, progress = self.context.manifest, self.context.progress
        near = ([] if self.current is None else [self.current]) + self.prefetched[:_SENT]
        wanted = [person for person in near if self._id(person) not in self.have]
        sent = [person for person in wanted if person == self.current or self.context.pictures.is_ready(person)]
        seen = progress.seen_by(self.annotator)
        done = int(seen[self.order].sum())
        today = progress.seen_on(self.annotator, datetime.now().date())
        return {
            "session": self.name,
            "seq": self.seq,
            "annotator": self.annotator,
            "error": self.error,
            "saved": self.saved,
            "current": None if self.current is None else self._id(self.current),
            "prefetched": [self._id(person) for person in self.prefetched[:_SENT]],
            "people": {self._id(person): self._card(person) for person in near},
            "pictures": {self._id(person): self.context.pictures.of(person) for person in sent},
            "savedPeople": [self._id(person) for person in progress.history(self.annotator)[-_HISTORY:]],
            "progress": f"{done:,} of {len(self.order):,} seen · {today:,} today",
            "shareDone": done / max(1, len(self.order)),
            "empty": self._empty_text(),
            "ageClasses": manifest.cuts.as_json(),
            "maxAge": MAX_AGE,
            "keyboard": shell.keyboard(shell.REVIEW),
        }

    def _empty_text(self) -> str:
        """Return the text that stands where a person would, if the queue is empty for this annotator."""
        progress, own = self.context.progress, self.context.progress.seen_by(self.annotator)
        left = ~own
        if self.annotators_per_person != ALL_ANNOTATORS:
            left &= progress.review_counts - own < self.annotators_per_person
        held = int(left[self.order].sum())
        if self.queue.kind == "person" or not held:
            return "No people are left in this queue."
        return f"The last {held:,} are assigned to other annotators. Press ↓ to check whether one is free again."

    def _card(self, person: int) -> dict[str, Any]:
        progress = self.context.progress
        changes = progress.changes(self.annotator, person)
        marks = [] if self.ranks is None else [rank_text(int(self.ranks[person]), len(self.context.manifest.people))]
        if progress.seen_by(self.annotator)[person]:
            marks.append("unsure" if changes.get(("", "unsure")) == "true" else "seen by you")
        return card_of(self.context.rows_of(person), changes, [mark for mark in marks if mark])
