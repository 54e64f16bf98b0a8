"""One annotator at one queue in one tab: who is on the screen, who comes next, what a message from the browser does."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np

from curation_app.annotations import Progress, log
from curation_app.images import Faces
from curation_app.review.cards import Pictures, card_of, rank_text
from curation_app.review.decisions import settle, take_back
from curation_app.review.leases import EVERYBODY, Deals
from curation_app.review.order import Queue, is_ranked, order_of, ranks
from data_manifests.corrections import append_corrections
from data_manifests.errors import CorrectionError, ToolkitError
from data_manifests.taxonomy import MAX_AGE
from data_manifests.versions import Store

_AHEAD = 5  # people dealt ahead: their pictures are made
_SENT = 3  # of them, whose pictures are sent as soon as they are there
_AT_HAND = 256  # people whose rows are kept
_RECENT = 20  # people back to whom one can go


@dataclass(frozen=True)
class Table:
    """What all sittings at one version share."""

    store: Store
    faces: Faces
    progress: Progress
    pictures: Pictures
    deals: Deals
    recent: OrderedDict[int, list[dict[str, Any]]] = field(default_factory=OrderedDict)

    def rows_of(self, person: int) -> list[dict[str, Any]]:
        """A person's rows; those asked for last are at hand, for taking seven out of a million takes 5 ms."""
        rows = self.recent.pop(person, None) or self.faces.records(self.faces.rows_of(person))
        self.recent[person] = rows
        while len(self.recent) > _AT_HAND:
            self.recent.popitem(last=False)
        return rows


@dataclass
class Sitting:
    """An annotator's place in a queue. `act` takes a message, `view` tells the browser what to show.

    Everything that must outlive the server is in the logs: a new sitting begins where they end.
    """

    table: Table
    annotator: str  # empty: looking only
    queue: Queue
    looks: int
    name: str = field(default_factory=lambda: token_hex(8))
    now: int | None = None
    ahead: list[int] = field(default_factory=list)
    trail: list[int] = field(default_factory=list)
    passed: set[int] = field(default_factory=set)
    seq: int = 0
    error: str = ""
    saved: str = ""
    have: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.order = order_of(self.table.faces, self.queue)
        self.ranks = ranks(self.table.faces) if is_ranked(self.table.faces) else None
        self.refresh()
        self.trail = self.table.progress.trail(self.annotator)[-_RECENT:] if self.annotator else []
        if self.queue.kind == "person":
            self.now = int(self.order[0])
        else:
            self._advance()

    # -- messages -----------------------------------------------------------------------------------------------
    def act(self, message: Mapping[str, Any]) -> None:
        """Do what the browser asks, once; `error` says why it was not done."""
        if message["sitting"] != self.name or message["seq"] <= self.seq:
            return  # of a page before this one, or sent again
        self.seq, self.error, self.have = message["seq"], "", frozenset(message["have"])
        try:
            self.refresh()
            acts = {"next": self._next, "back": self._back, "undo": self._undo}
            acts.get(message["act"], self._settle)(message)
            if self.annotator:
                self.table.deals.renew(self.annotator, self._holding())
        except ToolkitError as error:
            self.error = str(error)
        except OSError as error:
            self.error = f"nothing was saved: {error.strerror}. Free some space or mend the folder, then press again."

    def refresh(self) -> None:
        """Read what was added to the logs, by this annotator and by others."""
        self.table.progress.refresh(log.paths(self.table.store, self.table.faces.version))

    def leave(self) -> None:
        """Give back whom this sitting holds."""
        if self.annotator:
            self.table.deals.release(self.annotator, self._holding())

    def _holding(self) -> list[str]:
        held = self.ahead if self.now is None else [self.now, *self.ahead]
        return [self._id(person) for person in held]

    def _settle(self, message: Mapping[str, Any]) -> None:
        person = self.table.progress.number_of(str(message["person"]))
        if person is None or person not in {self.now, *self.trail}:
            raise CorrectionError("this person was not dealt to you; reload the page.")
        faces = self.table.faces
        records = settle(
            faces.version,
            self.table.rows_of(person),
            message["shots"],
            self.annotator,
            self.table.progress.words(self.annotator, person),
            unsure=message["act"] == "unsure",
            note=str(message["note"]).strip(),
        )
        self._write(records)
        if person == self.now:
            self._remember(person)
            self._advance()

    def _next(self, message: Mapping[str, Any]) -> None:
        if self.now is not None:
            if self.annotator and not self.table.progress.seen_by(self.annotator)[self.now]:
                self.table.deals.release(self.annotator, [self._id(self.now)])
            self.passed.add(self.now)
            self._remember(self.now)
        self._advance()

    def _back(self, message: Mapping[str, Any]) -> None:
        if not self.trail:
            raise CorrectionError("there is nobody before this one.")
        self._go_to(self.trail.pop())

    def _undo(self, message: Mapping[str, Any]) -> None:
        last = self.table.progress.last(self.annotator)
        if last is None:
            raise CorrectionError("there is nothing left to undo.")
        self._write(take_back(last))
        self.trail = [person for person in self.trail if person != last.person]
        self._go_to(last.person)

    def _write(self, records: Sequence[Any]) -> None:
        if not self.annotator:
            raise CorrectionError("type your name in the side bar: a correction carries the name of who made it.")
        append_corrections(self._log, records)  # returns when it is on the disk
        self.saved = f"saved {datetime.now():%H:%M:%S}"
        self.refresh()

    @property
    def _log(self) -> Path:
        return log.path_of(self.table.store, self.table.faces.version, self.annotator)

    # -- who is next --------------------------------------------------------------------------------------------
    def _remember(self, person: int) -> None:
        self.trail = [*(other for other in self.trail if other != person), person][-_RECENT:]

    def _go_to(self, person: int) -> None:
        self.ahead = [other for other in self.ahead if other != person]
        if self.now is not None and self.now != person:
            self.ahead.insert(0, self.now)
        self.now = person
        self.passed.discard(person)
        self.table.pictures.ahead([person])

    def _advance(self) -> None:
        if self.queue.kind != "person" and len(self.ahead) < _AHEAD:
            self.ahead += self._deal(_AHEAD + 1 - len(self.ahead))
        self.now = self.ahead.pop(0) if self.ahead else None
        self.table.pictures.ahead(([] if self.now is None else [self.now]) + self.ahead)

    def _deal(self, count: int) -> list[int]:
        def deal(without: set[int]) -> list[int]:
            return self.table.deals.deal(
                self.annotator,
                self.order,
                self.table.progress,
                self.looks,
                count,
                without=without,
                unseen_only=self.queue.kind == "unseen",
            )

        held = {*self.ahead} if self.now is None else {self.now, *self.ahead}
        dealt = deal(held | self.passed)
        if not dealt and not self.ahead and self.passed:  # only those are left who were passed over: round again
            self.passed.clear()
            dealt = deal(held)
        return dealt

    def _id(self, person: int) -> str:
        return str(self.table.faces.people[person])

    # -- what is shown ------------------------------------------------------------------------------------------
    def view(self) -> dict[str, Any]:
        """The browser's `data`: the person on the screen, those to come, and the pictures that it does not have."""
        faces, progress = self.table.faces, self.table.progress
        near = ([] if self.now is None else [self.now]) + self.ahead[:_SENT]
        wanted = [person for person in near if self._id(person) not in self.have]
        sent = [person for person in wanted if person == self.now or self.table.pictures.ready(person)]
        seen = progress.seen_by(self.annotator)
        done = int(seen[self.order].sum())
        today = progress.seen_on(self.annotator, datetime.now().date())
        return {
            "sitting": self.name,
            "seq": self.seq,
            "annotator": self.annotator,
            "error": self.error,
            "saved": self.saved,
            "now": None if self.now is None else self._id(self.now),
            "ahead": [self._id(person) for person in self.ahead[:_SENT]],
            "people": {self._id(person): self._card(person) for person in near},
            "pictures": {self._id(person): self.table.pictures.of(person) for person in sent},
            "settled": [self._id(person) for person in progress.trail(self.annotator)[-_RECENT:]],
            "progress": f"{done:,} of {len(self.order):,} seen · {today:,} today",
            "share": done / max(1, len(self.order)),
            "idle": self._idle(),
            "classes": list(faces.cuts.names),
            "cuts": [faces.cuts.middle, faces.cuts.old],
            "oldest": MAX_AGE,
        }

    def _idle(self) -> str:
        progress, own = self.table.progress, self.table.progress.seen_by(self.annotator)
        left = ~own
        if self.looks != EVERYBODY:
            left &= progress.looks - own < self.looks
        held = int(left[self.order].sum())
        if self.queue.kind == "person" or not held:
            return "Nobody is left in this queue."
        return f"The last {held:,} are with other annotators. ↓ looks whether one has come back."

    def _card(self, person: int) -> dict[str, Any]:
        progress = self.table.progress
        words = progress.words(self.annotator, person)
        marks = [] if self.ranks is None else [rank_text(int(self.ranks[person]), len(self.table.faces.people))]
        if progress.seen_by(self.annotator)[person]:
            marks.append("unsure" if words.get(("", "unsure")) == "true" else "seen by you")
        return card_of(self.table.rows_of(person), words, [mark for mark in marks if mark])


def new_table(store: Store, faces: Faces) -> Table:
    """The table of one version. Who holds whom is shared by all versions of the manifest."""
    deals = Deals(log.folder(store, faces.version))
    return Table(store, faces, Progress(np.asarray(faces.people)), Pictures(store, faces), deals)
