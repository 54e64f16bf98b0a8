"""Bring a correction log into a manifest: find the rows, resolve, write, report. Nothing is ever guessed.

What cannot be placed, and every conflict, is reported and left alone. Applying the same log again changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.corrections.record import FIELDS, UNSURE, read_corrections, to_line
from data_manifests.corrections.resolve import Edits, resolve
from data_manifests.corrections.targets import (
    AGE,
    AGE_CLASS,
    EXCLUDE,
    EXCLUDED_BY,
    NAMED,
    NOTHING,
    WORDS,
    Corrections,
    encode,
    place,
)
from data_manifests.errors import ManifestError
from data_manifests.taxonomy import N_AGE_CLASSES, AgeCuts, age_class_of, class_id_of
from data_manifests.versions import Store, Version, file_sha256, write_atomic

OUTCOMES = ("applied", "already", "superseded", "conflict", "unplaced", "noted")


@dataclass(frozen=True)
class ApplyReport:
    """What became of each correction: a table with one row per record of the log, and how many rows changed.

    Columns of `table`: file, line, correction_id, annotator, field, scope, sample_id, person_id, outcome (one of
    `OUTCOMES`), rows (changed by it), detail (why, for a conflict or a record without a place).
    """

    table: pa.Table
    rows_changed: int

    @property
    def counts(self) -> dict[str, int]:
        """Records by outcome; the sum is the number of records."""
        outcomes = self.table["outcome"].to_pylist()
        return {outcome: outcomes.count(outcome) for outcome in OUTCOMES}

    def lines(self, limit: int = 20) -> list[str]:
        """For people: the counts, then every conflict and every record without a place (at most `limit`)."""
        counts = ", ".join(f"{number} {outcome}" for outcome, number in self.counts.items())
        lines = [f"{self.table.num_rows} corrections: {counts}; {self.rows_changed} rows changed"]
        open_ = self.table.filter(pc.is_in(self.table["outcome"], pa.array(["conflict", "unplaced"])))
        for row in open_.slice(0, limit).to_pylist():
            what = f"{row['field']} of {row['sample_id'] or row['person_id']}"
            lines.append(f"{row['file']} line {row['line']}: {row['outcome']}: {what}: {row['detail']}")
        if open_.num_rows > limit:
            lines.append(f"… and {open_.num_rows - limit} more")
        return lines

    def as_json(self, limit: int) -> dict[str, Any]:
        """Return the counts, the rows changed, and at most `limit` conflicts and unplaced corrections."""
        open_ = self.table.filter(pc.is_in(self.table["outcome"], pa.array(["conflict", "unplaced"])))
        return {"counts": self.counts, "rows_changed": self.rows_changed, "open": open_.slice(0, limit).to_pylist()}

    def write_csv(self, path: Path) -> None:
        """Write the table, quoted as the log is."""
        rows = zip(*(column.to_pylist() for column in self.table.columns), strict=True)
        lines = [to_line(self.table.column_names), *(to_line(map(str, row)) for row in rows)]
        write_atomic(path, "".join(lines).encode())


def apply_corrections(
    table: pa.Table, corrections: pa.Table, cuts: AgeCuts, *, seed: int, origins: pa.Table | None = None
) -> tuple[pa.Table, ApplyReport]:
    """Apply a log (from `read_corrections`) to a manifest table.

    `seed` draws the ages of `class:k` corrections. `origins` tells of pictures that the table no longer has (columns
    `sample_id` and `claims.NAMED`): their corrections reach the photo that they descend from.
    """
    sound = corrections.filter(pc.equal(corrections["problem"], ""))
    broken = corrections.filter(pc.not_equal(corrections["problem"], ""))
    noted = sound.filter(pc.equal(sound["field"], UNSURE))
    sound = sound.filter(pc.not_equal(sound["field"], UNSURE))
    reports = [
        _report(broken, ["unplaced"] * len(broken), [0] * len(broken), broken["problem"].to_pylist()),
        _report(noted, ["noted"] * len(noted), [0] * len(noted), [""] * len(noted)),
    ]
    rows_changed = 0
    if sound.num_rows:
        said = encode(sound)
        claims, unplaced, conflicts = place(table, said, origins)
        edits, disputes, nothing_to_do, counts = resolve(said, claims, cuts)
        table = _write_labels(table, said, edits, cuts, seed)
        table = _write_exclusions(table, said, edits)
        rows_changed = len(np.unique(edits.row))
        reports.append(_outcomes(said, unplaced | nothing_to_do, conflicts | disputes, counts))
    report = pa.concat_tables(reports).sort_by([("file", "ascending"), ("line", "ascending")])
    return table, ApplyReport(report, rows_changed)


def _outcomes(
    said: Corrections, unplaced: dict[int, str], conflicts: dict[int, str], counts: dict[int, int]
) -> pa.Table:
    every = range(said.table.num_rows)
    outcome = [
        "unplaced"
        if i in unplaced
        else "conflict"
        if i in conflicts
        else "superseded"
        if i not in counts
        else "applied"
        if counts[i]
        else "already"
        for i in every
    ]
    details = [unplaced.get(i) or conflicts.get(i, "") for i in every]
    return _report(said.table, outcome, [counts.get(i, 0) for i in every], details)


def _report(corrections: pa.Table, outcome: list[str], rows: list[int], detail: list[str]) -> pa.Table:
    names = ["file", "line", "correction_id", "annotator", "field", "scope", "sample_id", "person_id"]
    part = corrections.select(names)
    part = part.append_column("outcome", pa.array(outcome, pa.string()))
    part = part.append_column("rows", pa.array(rows, pa.int64()))
    return part.append_column("detail", pa.array(detail, pa.string()))


def _write_labels(table: pa.Table, said: Corrections, edits: Edits, cuts: AgeCuts, seed: int) -> pa.Table:
    labels = edits.field != EXCLUDE
    if not labels.any():
        return table
    for which, name in enumerate(FIELDS[:EXCLUDE]):
        here = edits.field == which
        if not here.any():
            continue
        new = _drawn(table, said, edits, here, cuts, seed) if which == AGE else edits.new[here]
        codes = pa.array(new, mask=new == NOTHING)
        values = codes.cast(pa.int32()) if which == AGE else pa.array(WORDS[which]).take(codes)
        table = _put(table, name, edits.row[here], values)
        if which == AGE:
            table = _put(table, "age_class", edits.row[here], age_class_of(values, cuts))
    rows, latest = _latest(edits.row[labels], edits.correction[labels])
    part = table.select(["mask", "gender", "age", "age_class"]).take(rows)
    age_class = pc.coalesce(age_class_of(part["age"], cuts), part["age_class"])  # some photos have a class but no age
    table = _put(table, "age_class", rows, age_class)
    table = _put(table, "class_id", rows, class_id_of(part["mask"], part["gender"], age_class))
    return _put(table, "label_source", rows, said.table["correction_id"].take(latest))


def _latest(row: np.ndarray, correction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows, rising, each with the latest correction that changed it."""
    order = np.lexsort((-correction, row))
    first = np.diff(row[order], prepend=-1) > 0
    return row[order][first], correction[order][first]


def _put(table: pa.Table, name: str, rows: np.ndarray, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Replace a column's values (K,) at distinct rows (K,)."""
    order = np.argsort(rows, kind="stable")
    mask = np.zeros(table.num_rows, bool)
    mask[rows] = True
    values = values.take(order)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    column = pc.replace_with_mask(table[name].combine_chunks(), mask, values)
    return table.set_column(table.schema.get_field_index(name), name, column)


def _drawn(table: pa.Table, said: Corrections, edits: Edits, here: np.ndarray, cuts: AgeCuts, seed: int) -> np.ndarray:
    """New ages (K,), with one drawn for each `class:k`: uniform over the ages that the manifest's photos have there.

    The draw depends on seed, person and class alone, so more corrections or another order change no other age.
    """
    new = edits.new[here].copy()
    classes = np.flatnonzero(new >= AGE_CLASS)
    if not len(classes):
        return new
    ranges = [_observed(table, cuts.bounds(k)) for k in range(N_AGE_CLASSES)]
    people = table["person_id"].take(edits.row[here][classes]).to_pylist()
    for at, person in zip(classes.tolist(), people, strict=True):
        k = int(new[at]) - AGE_CLASS
        low, high = ranges[k]
        draw = int.from_bytes(hashlib.sha256(f"{seed}\0{person}\0{k}".encode()).digest()[:8])
        new[at] = low + draw % (high - low + 1)
    return new


def _observed(table: pa.Table, bounds: tuple[int, int]) -> tuple[int, int]:
    """Lowest and highest age of the photos within bounds: a set of adults must not gain babies. None: the bounds."""
    age = table["age"]
    inside = pc.and_(pc.greater_equal(age, bounds[0]), pc.less_equal(age, bounds[1]))
    found = pc.min_max(age.filter(pc.and_not(inside, table["is_synthetic"]))).as_py()
    return (found["min"], found["max"]) if found["min"] is not None else bounds


def _write_exclusions(table: pa.Table, said: Corrections, edits: Edits) -> pa.Table:
    """Set status and reason. The reason keeps the status from before, so that taking back loses nothing."""
    here = np.flatnonzero(edits.field == EXCLUDE)
    if not len(here):
        return table
    rows = edits.row[here]
    names = said.table["annotator"].take(edits.correction[here]).to_pylist()
    part = table.select(["status", "reason"]).take(rows)
    status, reason = [], []
    for new, name, before, why in zip(
        edits.new[here], names, part["status"].to_pylist(), part["reason"].to_pylist(), strict=True
    ):
        notes = why.split("; ") if why else []
        if new:
            was = "" if before == "ok" else f" (was {before})"
            notes, before = [*notes, f"{EXCLUDED_BY}{name}{was}"], "excluded"
        else:
            ours = [note for note in notes if note.startswith(EXCLUDED_BY)]
            notes = [note for note in notes if note not in ours]
            before = ours[0].rpartition(" (was ")[2].rstrip(")") if ours[0].endswith(")") else "ok"
        status.append(before)
        reason.append("; ".join(notes) or None)
    table = _put(table, "status", rows, pa.array(status, pa.string()))
    return _put(table, "reason", rows, pa.array(reason, pa.string()))


def apply_to_store(
    store: Store, ref: str, csvs: Sequence[Path], *, seed: int = 0, dry_run: bool = False
) -> tuple[Version, ApplyReport]:
    """Apply logs to a version and write the result as the next one; the same version if no row changes.

    With `dry_run` nothing is written: the report tells what would happen.
    """
    manifest = store.read(ref)
    corrections = read_corrections(csvs)
    origins = _origins(store, manifest.table, corrections)
    table, report = apply_corrections(manifest.table, corrections, manifest.cuts, seed=seed, origins=origins)
    if dry_run or not report.rows_changed:
        return manifest.version, report
    logs = [{"file": Path(path).name, "sha256": file_sha256(Path(path))} for path in csvs]
    parameters = {"corrections": logs, **report.counts}
    version = store.write(
        manifest.version.name, table, "apply", parents=[manifest.version], parameters=parameters, seed=seed
    )
    return version, report


def _origins(store: Store, table: pa.Table, corrections: pa.Table) -> pa.Table:
    """Pictures that corrections name and the table lacks, from the versions that the corrections were made on."""
    asked = corrections.filter(pc.equal(corrections["problem"], ""))
    ids = table["sample_id"]
    here = ids.filter(pc.is_in(ids, asked["sample_id"].combine_chunks())).combine_chunks()
    asked = asked.filter(pc.invert(pc.is_in(asked["sample_id"], here)))
    columns = ["sample_id", *NAMED]
    found = [table.select(columns).slice(0, 0)]
    for pinned in asked["manifest"].unique().to_pylist():
        ref, _, digits = pinned.partition("#")
        try:
            if not store.version(ref).content_hash.startswith(digits):
                continue  # another manifest of this name: its ids may mean other pictures
        except ManifestError:
            continue  # not in this workspace; what stays without a place is reported
        rows = store.read(ref, columns).table
        wanted = asked["sample_id"].filter(pc.equal(asked["manifest"], pinned)).combine_chunks()
        found.append(rows.filter(pc.is_in(rows["sample_id"], wanted)))
    return pa.concat_tables(found)
