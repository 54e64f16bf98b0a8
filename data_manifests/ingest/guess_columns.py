"""Guess of the columns of a list of photos: which one holds which field, and what its words mean."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from data_manifests.errors import ManifestError
from data_manifests.ingest.label_words import (
    BARE_MASK_WORDS,
    EMPTY_WORDS,
    GENDER_WORDS,
    MASK_WORDS,
    SPLIT_WORDS,
    age_range,
    phrase_of,
)
from data_manifests.ingest.photo_rows import read_age, read_gender, read_mask
from data_manifests.schema import SPLITS
from data_manifests.taxonomy import GENDERS, MASKS, SHOTS

_MIN_UNDERSTOOD = 0.95  # share of the non-empty values; the rest may be typing errors, which ingest reports
_NAMES = {  # names of columns, without case, spaces and signs
    "person_id": ("personid", "person", "subjectid", "subject", "identity", "identityid", "individual", "celebid",
                  "participant", "participantid", "personname", "pid", "id"),
    "profile_id": ("profileid",),
    "shot": ("shot",),
    "mask": ("mask", "마스크", "masklabel", "maskstatus", "facemask", "wearing", "masked", "hasmask", "withmask",
             "wearsmask", "label", "labels", "class", "category", "target", "choice"),
    "gender": ("gender", "sex", "성별", "male", "ismale", "female", "isfemale",
               "label", "labels", "class", "category", "target", "choice"),
    "age": ("age", "나이", "연령", "ageyears", "years", "ageinyears"),
    "age_class": ("ageclass", "agegroup", "agerange", "age", "agebin", "agebucket",
                  "label", "labels", "class", "category", "target", "choice"),
    "split": ("split", "set", "subset", "partition", "usage", "phase"),
}  # fmt: skip
_BINARY = {"1": True, "0": False, "-1": False, "yes": True, "no": False, "true": True, "false": False, "y": True}
_BINARY |= {"n": False, "1.0": True, "0.0": False}
# Headers whose 1 and 0 have one meaning only; those of a column `gender` differ between data sets.
_YES_NO = dict.fromkeys(
    ("mask", "masked", "hasmask", "withmask", "wearsmask", "facemask", "wearing"), ("mask", "worn", "none")
)
_YES_NO |= dict.fromkeys(("male", "ismale"), ("gender", "male", "female"))
_YES_NO |= dict.fromkeys(("female", "isfemale"), ("gender", "female", "male"))
_CODED_SPLITS = {"0": "train", "1": "val", "2": "test"}  # of a column `partition`, as in CelebA
_LIKELY_MASKS = (
    ("incorrect", r"incorr|wrong|improp|chin|half|part|nose|under|below|bad"),
    ("none", r"no|without|off|un|free|bare"),
)
_ALLOWED = {"mask": MASKS, "gender": GENDERS, "shot": SHOTS, "split": SPLITS}


@dataclass(frozen=True)
class ColumnGuess:
    """The column of each field, the schema value of (field, word), and `notes` on columns that are not understood.

    A field mapped to "" is left unread although a column has its name.
    """

    columns: dict[str, str] = field(default_factory=dict)
    words: dict[tuple[str, str], str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def guess_columns(header: Sequence[str], rows: Sequence[Mapping[str, str]], skip: Sequence[str] = ()) -> ColumnGuess:
    """Return the guessed columns of all fields except the path; the columns in `skip` are not considered."""
    columns: dict[str, str] = {}
    words: dict[tuple[str, str], str] = {}
    notes: dict[str, str] = {}  # by column
    counts = {name: Counter(row.get(name, "") for row in rows) for name in header if name not in skip}
    for name, names in _NAMES.items():
        ranked = sorted((names.index(_plain(column)), column) for column in counts if _plain(column) in names)
        for _, column in ranked:
            found = None if column in columns.values() else _translate(name, column, counts[column])
            if found is not None:
                columns[name] = column
                words |= {(name, word): value for word, value in found.items()}
                break
            if name in ("mask", "gender", "age", "split") and column.lower() in (name, "sex"):
                notes[column] = _note(name, column, counts[column])
        if name in counts and name not in columns:
            columns[name] = ""
    used = set(columns.values())
    return ColumnGuess(columns, words, tuple(note for column, note in notes.items() if column not in used))


def suggest_values(name: str, column: str, counts: Mapping[str, int], most: int = 6) -> str:
    """Return the `--value` options that translate the most frequent words of a column, as an example to edit."""
    allowed = _ALLOWED.get(name, ())
    frequent = sorted(counts, key=lambda word: (-counts[word], word))[:most]
    options = []
    for number, word in enumerate(frequent):
        value = _word(name, _plain(column), word) or _likely(name, word) or allowed[number % len(allowed)]
        options.append(f"--value {shlex.quote(f'{name}:{word}={value}')}")
    return " ".join(options)


def _likely(name: str, word: str) -> str | None:
    """Return the label that parts of an unknown word suggest; only for the example in a message."""
    if name != "mask":
        return None
    return next((mask for mask, part in _LIKELY_MASKS if re.search(part, word.lower())), "worn")


def _plain(column: str) -> str:
    return re.sub(r"[\W\d_]", "", column.lower())


def _translate(name: str, column: str, counts: Counter[str]) -> dict[str, str] | None:
    """Return the words to translate if the values of a column are those of a field, else None."""
    known = {word: count for word, count in counts.items() if word.strip().lower() not in EMPTY_WORDS}
    if not known:
        return {} if column == name else None
    if name == "profile_id":
        return {}
    if name == "person_id":  # an `id` that is different in each row is the photo's, not the person's
        return {} if _plain(column) != "id" or max(known.values()) > 1 else None
    meaning = {word: _word(name, _plain(column), word) for word in known}
    understood = sum(count for word, count in known.items() if meaning[word] is not None)
    if understood < _MIN_UNDERSTOOD * sum(known.values()):
        return None
    return {word: value for word, value in meaning.items() if value is not None and not _is_schema_word(name, word)}


def _word(name: str, header: str, word: str) -> str | None:
    """Return the schema value of one word of a column, or None if it has none."""
    text, phrase = word.strip().lower(), phrase_of(word)
    if name == "age":
        return word if _is_schema_word("age", word) else None
    if name == "age_class":
        return word if age_range(word) else None
    if name == "shot":
        return text if text in SHOTS else None
    if name == "split":
        return SPLIT_WORDS.get(text) or (_CODED_SPLITS.get(text) if header == "partition" else None)
    if _is_schema_word(name, word):
        return text
    if name in ("mask", "gender") and _YES_NO.get(header, ("",))[0] == name and text in _BINARY:
        return _YES_NO[header][1 if _BINARY[text] else 2]
    return (MASK_WORDS | BARE_MASK_WORDS if name == "mask" else GENDER_WORDS).get(phrase)


def _is_schema_word(name: str, word: str) -> bool:
    """Return whether ingest reads a word without a translation."""
    if name in ("age_class", "shot"):
        return True
    if name == "split":
        return word.strip().lower() in SPLIT_WORDS
    try:
        {"age": read_age, "gender": read_gender, "mask": read_mask}[name](word)
    except ManifestError:
        return False
    return True


def _note(name: str, column: str, counts: Counter[str]) -> str:
    known = Counter({word: count for word, count in counts.items() if word.strip().lower() not in EMPTY_WORDS})
    ranked = sorted(known.items(), key=lambda one: (-one[1], one[0]))[:4]
    shown = ", ".join(f"{word!r} ({count})" for word, count in ranked)
    note = f"column {column!r} is not read as {name}: its most frequent values are {shown}"
    if name == "age":
        return note
    return f"{note}; to read it: --map {name}={column} {suggest_values(name, column, dict(ranked))}"
