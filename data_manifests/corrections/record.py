"""A correction: one typed event of an annotator about one label, and the rules for its values.

`docs/reference/corrections.md` describes the columns of the CSV files that hold corrections; `log.py` reads and writes
them.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, fields
from dataclasses import field as with_default
from datetime import UTC, datetime
from typing import NamedTuple

from data_manifests.errors import must_be_one_of
from data_manifests.taxonomy import GENDERS, MASKS, MAX_AGE, MIN_AGE, N_AGE_CLASSES

SCOPES = ("sample", "person")
BOOLEANS = ("false", "true")
CLASS_PREFIX = "class:"  # an age class instead of an age: class:0, class:1, class:2
UNSURE = "unsure"  # true: the annotator could not decide; false: the annotator has reviewed the person
CHOICES = {"mask": MASKS, "gender": GENDERS, "exclude": BOOLEANS, UNSURE: BOOLEANS}
FIELDS = ("mask", "gender", "age", "exclude")  # what a record can change
MAX_NOTE = 10_000  # characters; Python's CSV reader gives up at 131,072

_MANIFEST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*@[1-9]\d*#[0-9a-f]{8,64}")
_NAME = re.compile(r"\w[^;()\r\n]*")  # it becomes part of a row's `reason`
_SHA256 = re.compile(r"[0-9a-f]{64}")
_EVENT_ID = re.compile(r"\S{1,120}")
_AGE_CLASSES = tuple(f"{CLASS_PREFIX}{k}" for k in range(N_AGE_CLASSES))


class Label(NamedTuple):
    """The label that a record is about: a field of one sample, or of all photos of a person."""

    scope: str
    owner_id: str  # sample_id or person_id, by scope
    field: str


def _now() -> str:
    return datetime.now(UTC).isoformat()


@dataclass(frozen=True)
class Correction:
    """One event: an annotator states that a label is `new`. All values are texts, as in the CSV.

    The records of one save share their `save_id`; it is empty for a record that was written by itself. `undoes` is set
    in a record that takes back an earlier one: it names that record's save, or the record itself if it has no save,
    and `new` is then the value that the annotator had given before, or empty.
    """

    manifest: str  # the version that the annotator saw, such as "faces@2#9f86d081"
    sample_id: str
    person_id: str
    scope: str
    field: str
    old: str
    new: str  # empty: the annotator withdraws the earlier annotation of the label
    annotator: str
    note: str = ""
    image_sha256: str = ""
    correction_id: str = with_default(default_factory=lambda: f"c{secrets.token_hex(8)}")
    time: str = with_default(default_factory=_now)
    save_id: str = ""
    undoes: str = ""

    @property
    def label(self) -> Label:
        """The label that this record is about."""
        return Label(self.scope, self.person_id if self.scope == "person" else self.sample_id, self.field)

    @property
    def save_key(self) -> str:
        """The name of the save; records without one belong together if they share person and time."""
        return self.save_id or f"{self.time} {self.person_id}"

    @property
    def undo_key(self) -> str:
        """The value of `undoes` in a record that takes this one back."""
        return self.save_id or self.correction_id


ADDED_COLUMNS = ("save_id", "undoes")  # since version 0.2; a log without them is read as if they were empty
FIRST_COLUMNS = (
    "correction_id", "manifest", "sample_id", "person_id", "scope", "field", "old", "new", "annotator", "time", "note",
    "image_sha256",
)  # fmt: skip
COLUMNS = FIRST_COLUMNS + ADDED_COLUMNS
assert sorted(COLUMNS) == sorted(field.name for field in fields(Correction))


def problem_of(record: Correction) -> str:
    """Return what is wrong with a record, in one line; empty if nothing is."""
    if not record.correction_id:
        return "correction_id must not be empty."
    if not _MANIFEST.fullmatch(record.manifest):
        return f"manifest must be a version with its hash, such as faces@2#9f86d081. Got {record.manifest!r} instead."
    if record.scope not in SCOPES:
        return must_be_one_of("scope", SCOPES, record.scope)
    if not getattr(record, f"{record.scope}_id"):
        return f"{record.scope}_id must not be empty when scope is {record.scope}."
    if record.field not in (*FIELDS, UNSURE):
        return must_be_one_of("field", (*FIELDS, UNSURE), record.field)
    if (record.scope, record.field) == ("person", "mask"):
        return "scope must be sample when field is mask: a person's shots differ in it."
    for name, value in (("old", record.old), ("new", record.new)):
        if problem := _value_problem(record.field, name, value):
            return problem
    if not is_name(record.annotator):
        return f"annotator must be a name in one line without ';' or brackets. Got {record.annotator!r} instead."
    if not _has_zone(record.time):
        return f"time must be ISO 8601 with a zone, such as 2026-11-20T12:00:00Z. Got {record.time!r} instead."
    if len(record.note) > MAX_NOTE:
        return f"note must have at most {MAX_NOTE} characters. Got {len(record.note)} instead."
    if record.image_sha256 and not _SHA256.fullmatch(record.image_sha256):
        return f"image_sha256 must be 64 hex digits or empty. Got {record.image_sha256!r} instead."
    for name, value in (("save_id", record.save_id), ("undoes", record.undoes)):
        if value and not _EVENT_ID.fullmatch(value):
            return f"{name} must be 1 to 120 characters without spaces, or empty. Got {value!r} instead."
    return ""


def _value_problem(field: str, name: str, value: str) -> str:
    if not value and not (field in ("exclude", UNSURE) and name == "old"):
        return ""
    if field != "age":
        allowed = CHOICES[field]
        return "" if value in allowed else must_be_one_of(f"{name} of {field}", allowed, value)
    if value in _AGE_CLASSES:
        return ""
    if value.isascii() and value.isdecimal() and len(value) <= 3 and MIN_AGE <= int(value) <= MAX_AGE:
        return ""
    return must_be_one_of(f"{name} of age", (f"{MIN_AGE} to {MAX_AGE}", *_AGE_CLASSES), value)


def _has_zone(time: str) -> bool:
    try:
        return datetime.fromisoformat(time).tzinfo is not None
    except ValueError:
        return False


def is_name(text: str) -> bool:
    """Return whether a log can hold this text as an annotator's name."""
    return _NAME.fullmatch(text) is not None
