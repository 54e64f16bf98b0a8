"""The rows that each correction is about. A claim is one pair of a correction and a row.

A correction names a picture; its label belongs to the photo that the picture descends from, so all rows of that photo
are meant, whatever stage made them:

    gender, age   every row of the photo, or with scope person every row of the person
    mask          the rows of the photo that are not synthetic (scope person is not allowed: a person's shots differ)
    exclude       every row of the photo or of the person; a photo that is confirmed as kept (`false` to `false`) means
                  its rows that are not synthetic

A synthetic picture has some labels of its own. It has its own mask: `mask` and `exclude` that name one mean it and what
was made from it. One with another age than its photo keeps it: `age` of the photo does not reach it, and an `age` that
names it means its profile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.corrections import exclusions
from data_manifests.corrections.encoding import AGE, AGE_CLASS, EXCLUDE, MASK, NO_LABEL, EncodedCorrections
from data_manifests.taxonomy import GENDERS, MASKS

SAMPLE_COLUMNS = ("source_id", "person_id", "profile_id", "shot", "is_synthetic", "sha256")  # needed of a named picture


@dataclass(frozen=True)
class Claims:
    """Pairs (M,) of a correction and a row, with the row's value; `anchor` marks the pair that `old` is about."""

    correction: np.ndarray
    row: np.ndarray
    value: np.ndarray
    anchor: np.ndarray


def find_claims(
    table: pa.Table, corrections: EncodedCorrections, origins: pa.Table | None
) -> tuple[Claims, dict[int, str], dict[int, str]]:
    """Find the rows of every correction.

    `origins` describes pictures that are not in the table (columns `sample_id` and `SAMPLE_COLUMNS`), read from the
    versions that the corrections name. Returns the claims, and by position of the correction the reasons for those
    without a row and for those whose picture has changed since.
    """
    named_row, named = _look_up(table, corrections, origins)
    unplaced: dict[int, str] = {}
    changed: dict[int, str] = {}
    for i, (person, seen) in enumerate(_columns(corrections.table, "person_id", "image_sha256")):
        if corrections.is_person_scope[i] and named_row[i] >= 0 and named["person_id"][i] != person:
            unplaced[i] = f"{named['sample_id'][i]!r} is a picture of person {named['person_id'][i]!r}, not {person!r}."
        elif seen and named["sha256"][i] and named["sha256"][i] != seen:
            changed[i] = f"the picture has changed: {named['sha256'][i][:8]} now, {seen[:8]} when it was reviewed."
    own = ~corrections.is_person_scope & named["is_synthetic"] & np.isin(corrections.field, (MASK, EXCLUDE))
    owner, row = _related_rows(table, corrections, named, own)
    kept = ~np.isin(owner, [*unplaced, *changed])
    claims = _narrow(table, corrections, owner[kept], row[kept], named_row, own)
    for i in set(range(len(corrections.field))).difference(claims.correction.tolist(), unplaced, changed):
        unplaced[i] = _absent(corrections, i)
    return claims, unplaced, changed


def _columns(table: pa.Table, *names: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(table[name].to_pylist() for name in names), strict=True)


def _absent(corrections: EncodedCorrections, i: int) -> str:
    sample, person, manifest = (corrections.table[name][i].as_py() for name in ("sample_id", "person_id", "manifest"))
    if corrections.is_person_scope[i]:
        return f"person {person!r} is not in this manifest."
    return f"sample {sample!r} is not in this manifest, and {manifest} does not lead to a photo that is."


def _look_up(
    table: pa.Table, corrections: EncodedCorrections, origins: pa.Table | None
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the row (N,) of each named picture, -1 if the table has none, and its `SAMPLE_COLUMNS`, each (N,)."""
    names = corrections.table["sample_id"].combine_chunks()
    wanted, position = np.unique(np.array(names.to_pylist(), object), return_inverse=True)
    row_of = np.full(len(wanted), -1)
    rows, code = _find(table["sample_id"], wanted)
    row_of[code] = rows
    named_row = row_of[position]
    named = {name: np.full(len(names), None, object) for name in SAMPLE_COLUMNS}
    named["sample_id"] = np.array(names.to_pylist(), object)
    named["source_id"] = named["sample_id"].copy()  # of a photo that is gone, rows made from it may still be there
    sources = [(table, named_row)]
    if origins is not None:
        elsewhere = pc.fill_null(pc.index_in(names, origins["sample_id"].combine_chunks()), -1).to_numpy()
        sources.insert(0, (origins, elsewhere))
    for source, at in sources:
        hit = np.flatnonzero(at >= 0)
        taken = source.select(SAMPLE_COLUMNS).take(at[hit])
        for name in SAMPLE_COLUMNS:
            named[name][hit] = np.array(taken[name].to_pylist(), object)
    named["is_synthetic"] = named["is_synthetic"] == True  # noqa: E712  None where nothing is known
    return named_row, named


def _find(column: pa.ChunkedArray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows (M,) whose value is among the wanted ones (K,), rising, and the number of that value (M,)."""
    code = pc.fill_null(pc.index_in(column, pa.array(wanted, pa.string())), -1).to_numpy()
    rows = np.flatnonzero(code >= 0)
    return rows, code[rows]


def _related_rows(
    table: pa.Table, corrections: EncodedCorrections, named: dict[str, np.ndarray], own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs (M,) of a correction and a row of its person, its photo or its own synthetic picture."""
    parts = []
    keys = {
        "person_id": (corrections.is_person_scope, np.array(corrections.table["person_id"].to_pylist(), object)),
        "profile_id": (own, named["profile_id"]),
        "source_id": (~corrections.is_person_scope & ~own, named["source_id"]),
    }
    for column, (where, key) in keys.items():
        if not where.any():
            continue
        chosen = np.flatnonzero(where)
        wanted, position = np.unique(key[chosen].astype(str), return_inverse=True)
        rows, code = _find(table[column], wanted)
        rows = rows[np.argsort(code, kind="stable")]
        size = np.bincount(code, minlength=len(wanted))
        first, count = (np.cumsum(size) - size)[position], size[position]
        owner = np.repeat(np.arange(len(chosen)), count)
        row = rows[np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count) + first[owner]]
        parts.append((chosen[owner], row))
    owner, row = (np.concatenate(part) if part else np.empty(0, np.int64) for part in zip(*parts, strict=True))
    if own.any():
        shot = np.array(table["shot"].take(row).to_pylist(), object)
        synthetic = table["is_synthetic"].take(row).to_numpy()
        keep = ~own[owner] | (synthetic & (shot == named["shot"][owner]))
        owner, row = owner[keep], row[keep]
    return owner, row


def _narrow(
    table: pa.Table,
    corrections: EncodedCorrections,
    owner: np.ndarray,
    row: np.ndarray,
    named_row: np.ndarray,
    own: np.ndarray,
) -> Claims:
    """Keep the rows that the field means (see the top of this file), and mark the row that each `old` is about."""
    field = corrections.field[owner]
    synthetic = table["is_synthetic"].take(row).to_numpy()
    value = _current(table, row, field)
    named = row == named_row[owner]
    confirmed = (field == EXCLUDE) & (corrections.old[owner] == 0) & (corrections.new[owner] == 0)
    of_photos = (field == MASK) | (confirmed & ~corrections.is_person_scope[owner])
    keep = ~of_photos | own[owner] | ~synthetic
    ages = np.flatnonzero(field == AGE)
    named_ages = named[ages] & ~corrections.is_person_scope[owner[ages]]
    keep[ages] = _keep_ages(table, owner[ages], row[ages], synthetic[ages], value[ages], named_ages)
    owner, row, synthetic, value, named = (array[keep] for array in (owner, row, synthetic, value, named))
    photo = pc.equal(table["sample_id"].take(row), table["source_id"].take(row)).to_numpy()
    by_value = corrections.is_person_scope[owner] & (value != corrections.old[owner])
    name = np.unique(table["sample_id"].take(row).to_numpy(zero_copy_only=False), return_inverse=True)[1]
    order = np.lexsort((name, ~photo, by_value, synthetic, ~named, owner))  # by name: rows may stand in any order
    anchor = np.zeros(len(row), bool)
    anchor[order[np.flatnonzero(np.diff(owner[order], prepend=-1))]] = True
    return Claims(owner, row, value, anchor)


def _keep_ages(
    table: pa.Table, owner: np.ndarray, row: np.ndarray, synthetic: np.ndarray, value: np.ndarray, named: np.ndarray
) -> np.ndarray:
    """Return which claims about ages (M,) hold: none on rows with an age of their own that are not the named ones."""
    if not synthetic.any():
        return np.ones(len(row), bool)
    source, profile = (
        table[name].take(row).combine_chunks().dictionary_encode().indices.to_numpy()
        for name in ("source_id", "profile_id")
    )
    of_photo = np.full(source.max() + 1, NO_LABEL - 1)
    np.maximum.at(of_photo, source[~synthetic], value[~synthetic])
    aged = synthetic & (of_photo[source] >= NO_LABEL) & (of_photo[source] != value)
    wanted = np.full(owner.max() + 1, -1)  # the profile that a correction is about, if it has an age of its own
    wanted[owner[named & aged]] = profile[named & aged]
    return np.where(wanted[owner] < 0, ~aged, aged & (profile == wanted[owner]))


def _current(table: pa.Table, row: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Return the code (M,) of each row's value in a field.

    Where only the age class is known (from folders named after classes), it stands for the age.
    """
    part = table.select(["mask", "gender", "age", "age_class", *exclusions.COLUMNS]).take(row)
    codes = (
        pc.index_in(part["mask"], pa.array(MASKS)),
        pc.index_in(part["gender"], pa.array(GENDERS)),
        pc.coalesce(part["age"], pc.add(part["age_class"].cast(pa.int32()), AGE_CLASS)),
        pc.is_valid(exclusions.excluded_by(part)).cast(pa.int32()),
    )
    return np.choose(field, [pc.fill_null(code, NO_LABEL).to_numpy().astype(np.int64) for code in codes])
