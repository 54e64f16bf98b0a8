"""Apply correction logs to a manifest: find the rows, resolve, write, report.

Conflicts and corrections without a row are reported and change nothing. Applying the same log again changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.corrections.edits import write_exclusions, write_labels
from data_manifests.corrections.encoding import EncodedCorrections, encode
from data_manifests.corrections.lines import to_line
from data_manifests.corrections.log import read_corrections
from data_manifests.corrections.record import UNSURE
from data_manifests.corrections.resolve import Resolution, resolve
from data_manifests.corrections.targets import SAMPLE_COLUMNS, find_claims
from data_manifests.errors import ManifestError
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import Store, Version, file_sha256, write_atomic

OUTCOMES = ("applied", "already", "superseded", "conflict", "unplaced", "noted")
OPEN = ("conflict", "unplaced")  # no Arrow array: making one imports pandas


@dataclass(frozen=True)
class ApplyReport:
    """The outcome of each correction, and the number of rows changed.

    Columns of `table`, one row per record of the log: file, line, correction_id, annotator, field, scope, sample_id,
    person_id, outcome (one of `OUTCOMES`), rows (changed by it), detail (the reason of a conflict or of a record that
    could not be placed).
    """

    table: pa.Table
    rows_changed: int

    @property
    def counts(self) -> dict[str, int]:
        """The number of records by outcome; the sum is the number of all records."""
        outcomes = self.table["outcome"].to_pylist()
        return {outcome: outcomes.count(outcome) for outcome in OUTCOMES}

    def lines(self, limit: int = 20) -> list[str]:
        """Return the report as text: the counts, then at most `limit` conflicts and unplaced records."""
        counts = ", ".join(f"{number} {outcome}" for outcome, number in self.counts.items())
        lines = [f"{self.table.num_rows} corrections: {counts}; {self.rows_changed} rows changed"]
        for row in self._open().slice(0, limit).to_pylist():
            label = f"{row['field']} of {row['sample_id'] or row['person_id']}"
            lines.append(f"{row['file']} line {row['line']}: {row['outcome']}: {label}: {row['detail']}")
        if self._open().num_rows > limit:
            lines.append(f"… and {self._open().num_rows - limit} more")
        return lines

    def _open(self) -> pa.Table:
        return self.table.filter(pc.is_in(self.table["outcome"], pa.array(OPEN)))

    def as_json(self, limit: int) -> dict[str, Any]:
        """Return the counts, the rows changed, and at most `limit` conflicts and unplaced corrections."""
        open_ = self._open().slice(0, limit).to_pylist()
        return {"counts": self.counts, "rows_changed": self.rows_changed, "open": open_}

    def write_csv(self, path: Path) -> None:
        """Write the table as CSV, quoted as the log is."""
        rows = zip(*(column.to_pylist() for column in self.table.columns), strict=True)
        lines = [to_line(self.table.column_names), *(to_line(map(str, row)) for row in rows)]
        write_atomic(path, "".join(lines).encode())


def apply_corrections(
    table: pa.Table, corrections: pa.Table, cuts: AgeCuts, *, seed: int, origins: pa.Table | None = None
) -> tuple[pa.Table, ApplyReport]:
    """Apply a log (from `read_corrections`) to a manifest table.

    `seed` draws the ages of `class:k` corrections. `origins` describes pictures that the table no longer has (columns
    `sample_id` and `targets.SAMPLE_COLUMNS`): their corrections reach the photo that they descend from.
    """
    valid = corrections.filter(pc.equal(corrections["problem"], ""))
    broken = corrections.filter(pc.not_equal(corrections["problem"], ""))
    noted = valid.filter(pc.equal(valid["field"], UNSURE))
    valid = valid.filter(pc.not_equal(valid["field"], UNSURE))
    reports = [
        _report(broken, ["unplaced"] * len(broken), [0] * len(broken), broken["problem"].to_pylist()),
        _report(noted, ["noted"] * len(noted), [0] * len(noted), [""] * len(noted)),
    ]
    rows_changed = 0
    if valid.num_rows:
        encoded = encode(valid)
        claims, unplaced, conflicts = find_claims(table, encoded, origins)
        found = resolve(encoded, claims, cuts)
        table = write_labels(table, encoded, found.edits, cuts, seed)
        table = write_exclusions(table, encoded, found.edits)
        rows_changed = len(np.unique(found.edits.row))
        reports.append(_outcomes(encoded, unplaced, conflicts, found))
    report = pa.concat_tables(reports).sort_by([("file", "ascending"), ("line", "ascending")])
    return table, ApplyReport(report, rows_changed)


def _outcomes(
    encoded: EncodedCorrections, unplaced: dict[int, str], conflicts: dict[int, str], found: Resolution
) -> pa.Table:
    unplaced, conflicts, changed = unplaced | found.unplaced, conflicts | found.conflicts, found.rows_changed
    every = range(encoded.table.num_rows)
    outcome = [
        "unplaced"
        if i in unplaced
        else "conflict"
        if i in conflicts
        else "superseded"
        if i not in changed
        else "applied"
        if changed[i]
        else "already"
        for i in every
    ]
    details = [unplaced.get(i) or conflicts.get(i, "") for i in every]
    return _report(encoded.table, outcome, [changed.get(i, 0) for i in every], details)


def _report(corrections: pa.Table, outcome: list[str], rows: list[int], detail: list[str]) -> pa.Table:
    names = ["file", "line", "correction_id", "annotator", "field", "scope", "sample_id", "person_id"]
    part = corrections.select(names)
    part = part.append_column("outcome", pa.array(outcome, pa.string()))
    part = part.append_column("rows", pa.array(rows, pa.int64()))
    return part.append_column("detail", pa.array(detail, pa.string()))


def apply_to_store(
    store: Store, ref: str, csvs: Sequence[Path], *, seed: int = 0, dry_run: bool = False
) -> tuple[Version, ApplyReport]:
    """Apply logs to a version and write the result as the next one; the same version if no row changes.

    With `dry_run` nothing is written: the report states what would change.
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
    """Return the pictures that corrections name and the table lacks, from the versions that the corrections name."""
    missing = corrections.filter(pc.equal(corrections["problem"], ""))
    ids = table["sample_id"]
    here = ids.filter(pc.is_in(ids, missing["sample_id"].combine_chunks())).combine_chunks()
    missing = missing.filter(pc.invert(pc.is_in(missing["sample_id"], here)))
    columns = ["sample_id", *SAMPLE_COLUMNS]
    found = [table.select(columns).slice(0, 0)]
    for pinned in missing["manifest"].unique().to_pylist():
        ref, _, digits = pinned.partition("#")
        try:
            if not store.version(ref).content_hash.startswith(digits):
                continue  # another manifest of this name, with other pictures
        except ManifestError:
            continue  # not in this workspace; the correction is reported as unplaced
        rows = store.read(ref, columns).table
        wanted = missing["sample_id"].filter(pc.equal(missing["manifest"], pinned)).combine_chunks()
        found.append(rows.filter(pc.is_in(rows["sample_id"], wanted)))
    return pa.concat_tables(found)
