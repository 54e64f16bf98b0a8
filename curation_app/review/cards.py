"""What the browser needs to show a person: labels, suspicions, small pictures."""

from __future__ import annotations

import base64
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from curation_app.annotations import Label, value_of
from curation_app.images import Faces
from curation_app.review.decisions import LABELS, labels_of
from data_manifests.errors import ToolkitError
from data_manifests.versions import Store
from reporting.thumbnails import thumbnail

HEIGHT_PX = 360  # seven shots across 1920 pixels are 350 high
_KEPT = 64  # people
_STRANGER = 0.5  # an identity score below: more likely somebody else
_THREADS = 2
_BETWEEN = re.compile(r"(?<=\d\)); ")  # reasons end with their probability, "(0.98)", and may hold a semicolon


class Pictures:
    """Small pictures of people, made ahead by a few threads."""

    def __init__(self, store: Store, faces: Faces) -> None:
        self._store, self._faces = store, faces
        self._pool = ThreadPoolExecutor(_THREADS, "thumbnails")
        self._lock = threading.Lock()
        self._made: OrderedDict[int, Future[list[dict[str, str]]]] = OrderedDict()

    def ahead(self, people: Iterable[int]) -> None:
        """Begin to make the pictures of these people."""
        for person in people:
            self._of(person)

    def ready(self, person: int) -> bool:
        with self._lock:
            return person in self._made and self._made[person].done()

    def of(self, person: int) -> list[dict[str, str]]:
        """A person's pictures, one a row: {"image": data URL} or {"problem": what is wrong and what to do}."""
        pictures = self._of(person).result()
        if any("problem" in picture for picture in pictures):
            with self._lock:
                self._made.pop(person, None)  # the file may be back next time
        return pictures

    def _of(self, person: int) -> Future[list[dict[str, str]]]:
        with self._lock:
            if person not in self._made:
                self._made[person] = self._pool.submit(self._make, person)
                while len(self._made) > _KEPT:
                    self._made.popitem(last=False)
            self._made.move_to_end(person)
            return self._made[person]

    def _make(self, person: int) -> list[dict[str, str]]:
        rows = self._faces.records(self._faces.rows_of(person))
        return [picture_of(self._store, row) for row in rows]


def picture_of(store: Store, row: Mapping[str, Any]) -> dict[str, str]:
    """A row's picture as a data URL: only who is shown the page gets it, and no address leads to it."""
    try:
        data = thumbnail(store, row, HEIGHT_PX).read_bytes()
    except ToolkitError as error:
        return {"problem": str(error)}
    return {"image": f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"}


def card_of(rows: Sequence[Mapping[str, Any]], words: Mapping[Label, str], marks: Sequence[str]) -> dict[str, Any]:
    """A person for the browser, without pictures. `marks` are short facts, such as the audit's rank."""
    suggest = {field: found for field in ("gender", "age") if (found := _suggested(rows, field))}
    return {
        "id": rows[0]["person_id"],
        "place": " · ".join(marks),
        "why": _reasons(rows),
        "suggest": suggest,
        "shots": [
            {
                "name": (row["shot"] or row["path"].rsplit("/", 1)[-1]).replace("_", " "),
                "file": {"sample_id": row["sample_id"], "sha256": row["sha256"] or ""},
                "was": {field: value_of(row, field) for field in LABELS},
                "labels": labels_of(row, words),
                "suggest": {"mask": row["suggested_mask"] or ""},
                "notes": (notes := _notes(row)),
                "suspect": bool(row["suggested_mask"] or notes),
            }
            for row in rows
        ],
    }


def _suggested(rows: Sequence[Mapping[str, Any]], field: str) -> dict[str, str] | None:
    """What the audit takes for right: the photos' values may differ by profile; the most doubtful photo's counts."""
    doubted = [row for row in rows if row[f"suggested_{field}"] is not None]
    if not doubted:
        return None
    row = min(doubted, key=lambda row: row[f"{field}_label_score"] or 0.0)
    value = str(row[f"suggested_{field}"])
    return {"value": value, "text": f"looks {value} ({1 - (row[f'{field}_label_score'] or 0.0):.0%})"}


def _notes(row: Mapping[str, Any]) -> list[str]:
    """What is suspicious about one photo beside its mask."""
    found = []
    if row["identity_score"] is not None and row["identity_score"] < _STRANGER:
        found.append(f"another person? ({1 - row['identity_score']:.0%})")
    if row["duplicate_of"]:
        found.append("duplicate")
    if row["status"] != "ok":
        found.append(row["status"])
    return found


def _reasons(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The audit's reasons, each once; strong where the issue is more likely there than not."""
    texts = dict.fromkeys(text for row in rows for text in _BETWEEN.split(row["audit_reason"] or "") if text)
    return [{"text": text, "strong": _probability(text) >= 0.5} for text in texts]


def _probability(reason: str) -> float:
    try:
        return float(reason[reason.rindex("(") + 1 : -1])
    except ValueError:
        return 0.0


def rank_text(rank: int, people: int) -> str:
    return f"suspect {rank:,} of {people:,}" if rank < np.iinfo(np.int32).max else ""
