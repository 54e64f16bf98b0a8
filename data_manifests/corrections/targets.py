"""Which rows each correction speaks about. A claim is one pair (correction, row).

A correction names a picture; its label belongs to the photo that the picture descends from, so the whole family is
meant, whatever stages made of it:

    gender, age   every row of the photo, or with scope person every row of the person
    mask          the rows of the photo that are not synthetic (scope person is refused: a person's shots differ)
    exclude       every row of the photo or of the person

A synthetic picture has some truths of its own. It wears its own mask: `mask` and `exclude` that name one mean it and
what was made from it. One that was given another age than its photo keeps it: `age` passes it by, and an `age` that
names it means its profile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.corrections.record import CLASS_PREFIX, FIELDS, TRUTH
from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts

NOTHING, TAKEN_BACK, AGE_CLASS = -1, -2, 1000  # codes beside the values' own: no label, empty `new`, class:k as 1000+k
EXCLUDED_BY = "apply: excluded by "
MASK, GENDER, AGE, EXCLUDE = range(len(FIELDS))
WORDS = {MASK: MASKS, GENDER: GENDERS, EXCLUDE: TRUTH}
NAMED = ("source_id", "person_id", "profile_id", "shot", "is_synthetic", "sha256")  # what we ask of a named picture


@dataclass(frozen=True)
class Corrections:
    """Corrections as arrays (N,), values as codes; in order of time, so a later position is a later word."""

    table: pa.Table
    field: np.ndarray
    person_scope: np.ndarray
    old: np.ndarray
    new: np.ndarray
    annotator: np.ndarray  # one number per name


@dataclass(frozen=True)
class Claims:
    """Pairs (M,) of a correction and a row, with the row's value; `anchor` marks the pair that `old` is about."""

    correction: np.ndarray
    row: np.ndarray
    value: np.ndarray
    anchor: np.ndarray


def encode(table: pa.Table) -> Corrections:
    """Sound corrections (without `problem`) → codes, in order of time. Equal times: by file and line."""
    times = [datetime.fromisoformat(time) for time in table["time"].to_pylist()]
    keys = pa.table({"time": pa.array(times, pa.timestamp("us", "UTC")), "file": table["file"], "line": table["line"]})
    table = table.take(pc.sort_indices(keys, [(name, "ascending") for name in keys.column_names]))
    field = pc.index_in(table["field"], pa.array(FIELDS)).to_numpy()
    new = _codes(field, table["new"])
    return Corrections(
        table=table,
        field=field,
        person_scope=pc.equal(table["scope"], "person").to_numpy(),
        old=_codes(field, table["old"]),
        new=np.where(new == NOTHING, TAKEN_BACK, new),
        annotator=table["annotator"].combine_chunks().dictionary_encode().indices.to_numpy(),
    )


def _codes(field: np.ndarray, values: pa.ChunkedArray) -> np.ndarray:
    known = {(which, word): code for which, words in WORDS.items() for code, word in enumerate(words)}

    def code(which: int, value: str) -> int:
        if not value:
            return NOTHING
        if which != AGE:
            return known[which, value]
        return AGE_CLASS + int(value[len(CLASS_PREFIX) :]) if value.startswith(CLASS_PREFIX) else int(value)

    return np.array([code(*pair) for pair in zip(field.tolist(), values.to_pylist(), strict=True)], np.int64)


def matches(values: np.ndarray, codes: np.ndarray, cuts: AgeCuts) -> np.ndarray:
    """Whether values (M,) are what codes (M,) mean: the same, or an age in the class that the code names."""
    age_class = (values >= cuts.middle).astype(np.int64) + (values >= cuts.old)
    is_age = (values >= 0) & (values < AGE_CLASS)
    return (values == codes) | ((codes >= AGE_CLASS) & is_age & (age_class == codes - AGE_CLASS))


def place(
    table: pa.Table, said: Corrections, origins: pa.Table | None
) -> tuple[Claims, dict[int, str], dict[int, str]]:
    """Find the rows of every correction.

    `origins` tells of pictures that are not in the table (columns `sample_id` and those of `NAMED`), read from the
    versions that the corrections name. Returns the claims, and by position what cannot be placed and why, and which
    pictures are no longer those that the annotator saw.
    """
    named_row, about = _look_up(table, said, origins)
    unplaced: dict[int, str] = {}
    changed: dict[int, str] = {}
    for i, (person, seen) in enumerate(_columns(said.table, "person_id", "image_sha256")):
        if said.person_scope[i] and named_row[i] >= 0 and about["person_id"][i] != person:
            unplaced[i] = f"{about['sample_id'][i]!r} is a picture of person {about['person_id'][i]!r}, not {person!r}."
        elif seen and about["sha256"][i] and about["sha256"][i] != seen:
            changed[i] = f"the picture has changed: {about['sha256'][i][:8]} now, {seen[:8]} when it was reviewed."
    own = ~said.person_scope & about["is_synthetic"] & np.isin(said.field, (MASK, EXCLUDE))
    owner, row = _family(table, said, about, own)
    there = ~np.isin(owner, [*unplaced, *changed])
    claims = _narrow(table, said, owner[there], row[there], named_row, own)
    for i in set(range(len(said.field))).difference(claims.correction.tolist(), unplaced, changed):
        unplaced[i] = _absent(said, i)
    return claims, unplaced, changed


def _columns(table: pa.Table, *names: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(table[name].to_pylist() for name in names), strict=True)


def _absent(said: Corrections, i: int) -> str:
    if said.person_scope[i]:
        return f"person {said.table['person_id'][i].as_py()!r} is not in this manifest."
    sample, manifest = said.table["sample_id"][i].as_py(), said.table["manifest"][i].as_py()
    return f"sample {sample!r} is not in this manifest, and {manifest} does not lead to a photo that is."


def _look_up(table: pa.Table, said: Corrections, origins: pa.Table | None) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The row (N,) of each named picture, -1 if the table has none, and what is known of it, each (N,)."""
    names = said.table["sample_id"].combine_chunks()
    wanted, position = np.unique(np.array(names.to_pylist(), object), return_inverse=True)
    row_of = np.full(len(wanted), -1)
    rows, code = _find(table["sample_id"], wanted)
    row_of[code] = rows
    named_row = row_of[position]
    about = {name: np.full(len(names), None, object) for name in NAMED}
    about["sample_id"] = np.array(names.to_pylist(), object)
    about["source_id"] = about["sample_id"].copy()  # of a photo that is gone, its family may still be there
    sources = [(table, named_row)]
    if origins is not None:
        elsewhere = pc.fill_null(pc.index_in(names, origins["sample_id"].combine_chunks()), -1).to_numpy()
        sources.insert(0, (origins, elsewhere))
    for known, at in sources:
        hit = np.flatnonzero(at >= 0)
        taken = known.select(NAMED).take(at[hit])
        for name in NAMED:
            about[name][hit] = np.array(taken[name].to_pylist(), object)
    about["is_synthetic"] = about["is_synthetic"] == True  # noqa: E712  None where nothing is known
    return named_row, about


def _find(column: pa.ChunkedArray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose value is among the wanted ones (K,), and which of them it is: both (M,), in order of row."""
    code = pc.fill_null(pc.index_in(column, pa.array(wanted, pa.string())), -1).to_numpy()
    rows = np.flatnonzero(code >= 0)
    return rows, code[rows]


def _family(
    table: pa.Table, said: Corrections, about: dict[str, np.ndarray], own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """All pairs (M,) of a correction and a row of its person, its photo or its own synthetic picture."""
    parts = []
    keys = {
        "person_id": (said.person_scope, np.array(said.table["person_id"].to_pylist(), object)),
        "profile_id": (own, about["profile_id"]),
        "source_id": (~said.person_scope & ~own, about["source_id"]),
    }
    for column, (which, key) in keys.items():
        if not which.any():
            continue
        asking = np.flatnonzero(which)
        wanted, position = np.unique(key[asking].astype(str), return_inverse=True)
        rows, code = _find(table[column], wanted)
        rows = rows[np.argsort(code, kind="stable")]
        size = np.bincount(code, minlength=len(wanted))
        first, count = (np.cumsum(size) - size)[position], size[position]
        owner = np.repeat(np.arange(len(asking)), count)
        row = rows[np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count) + first[owner]]
        parts.append((asking[owner], row))
    owner, row = (np.concatenate(part) if part else np.empty(0, np.int64) for part in zip(*parts, strict=True))
    if own.any():
        shot = np.array(table["shot"].take(row).to_pylist(), object)
        synthetic = table["is_synthetic"].take(row).to_numpy()
        keep = ~own[owner] | (synthetic & (shot == about["shot"][owner]))
        owner, row = owner[keep], row[keep]
    return owner, row


def _narrow(
    table: pa.Table, said: Corrections, owner: np.ndarray, row: np.ndarray, named_row: np.ndarray, own: np.ndarray
) -> Claims:
    """Leave the rows that the field means (see the top of this file), and find the row that each `old` is about."""
    synthetic = table["is_synthetic"].take(row).to_numpy()
    value = _current(table, row, said.field[owner])
    named = row == named_row[owner]
    keep = (said.field[owner] != MASK) | own[owner] | ~synthetic
    ages = np.flatnonzero(said.field[owner] == AGE)
    asks_for_aged = named[ages] & ~said.person_scope[owner[ages]]
    keep[ages] = _keep_ages(table, owner[ages], row[ages], synthetic[ages], value[ages], asks_for_aged)
    owner, row, synthetic, value, named = (array[keep] for array in (owner, row, synthetic, value, named))
    photo = pc.equal(table["sample_id"].take(row), table["source_id"].take(row)).to_numpy()
    by_value = said.person_scope[owner] & (value != said.old[owner])
    name = np.unique(table["sample_id"].take(row).to_numpy(zero_copy_only=False), return_inverse=True)[1]
    order = np.lexsort((name, ~photo, by_value, synthetic, ~named, owner))  # by name: rows may stand in any order
    anchor = np.zeros(len(row), bool)
    anchor[order[np.flatnonzero(np.diff(owner[order], prepend=-1))]] = True
    return Claims(owner, row, value, anchor)


def _keep_ages(
    table: pa.Table, owner: np.ndarray, row: np.ndarray, synthetic: np.ndarray, value: np.ndarray, named: np.ndarray
) -> np.ndarray:
    """Which claims about ages (M,) hold: not on rows with an age of their own, unless such a row is the named one."""
    if not synthetic.any():
        return np.ones(len(row), bool)
    source, profile = (
        table[name].take(row).combine_chunks().dictionary_encode().indices.to_numpy()
        for name in ("source_id", "profile_id")
    )
    of_photo = np.full(source.max() + 1, NOTHING - 1)
    np.maximum.at(of_photo, source[~synthetic], value[~synthetic])
    aged = synthetic & (of_photo[source] >= NOTHING) & (of_photo[source] != value)
    wanted = np.full(owner.max() + 1, -1)  # the profile that a correction is about, if it has an age of its own
    wanted[owner[named & aged]] = profile[named & aged]
    return np.where(wanted[owner] < 0, ~aged, aged & (profile == wanted[owner]))


def _current(table: pa.Table, row: np.ndarray, field: np.ndarray) -> np.ndarray:
    """The value (M,) that each row has for the field it is asked about, as a code.

    Where only the age class is known (folders named after classes tell no ages), it stands for the age.
    """
    part = table.select(["mask", "gender", "age", "age_class", "status", "reason"]).take(row)
    by_us = pc.and_(
        pc.equal(part["status"], "excluded"), pc.fill_null(pc.match_substring(part["reason"], EXCLUDED_BY), False)
    )
    codes = (
        pc.index_in(part["mask"], pa.array(MASKS)),
        pc.index_in(part["gender"], pa.array(GENDERS)),
        pc.coalesce(part["age"], pc.add(part["age_class"].cast(pa.int32()), AGE_CLASS)),
        by_us.cast(pa.int32()),
    )
    return np.choose(field, [pc.fill_null(code, NOTHING).to_numpy().astype(np.int64) for code in codes])
