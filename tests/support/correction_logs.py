"""Corrections as an annotator writes them, and the result of applying them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from data_manifests.corrections.apply import ApplyReport, apply_corrections
from data_manifests.corrections.lines import to_line
from data_manifests.corrections.log import append_correction, read_corrections
from data_manifests.corrections.record import COLUMNS, Correction
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions.validation import validate
from tests.support.manifest_tables import crop, manifest, photo, synthetic

Row = dict[str, Any]
CUTS = AgeCuts()


def event(row: Row, what: str, old: str, new: str, by: str = "ann", *, day: int = 1, **values: str) -> Correction:
    """Return a correction of a row, made on a day of November."""
    name = f"{by}-{day}-{row['sample_id'][:4]}-{what}"
    made = {
        "correction_id": name,
        "scope": "sample",
        "time": f"2026-11-{day:02d}T12:00:00+00:00",
        "manifest": "faces@1#00000000",
    } | values
    return Correction(
        sample_id=row["sample_id"], person_id=row["person_id"], field=what, old=old, new=new, annotator=by,
        **made,
    )  # fmt: skip


def log(tmp_path: Path, *records: Correction, name: str = "log.csv") -> pa.Table:
    path = tmp_path / name
    path.write_text(to_line(COLUMNS))
    for record in records:
        append_correction(path, record)
    return read_corrections([path])


def apply(tmp_path: Path, rows: list[Row], *records: Correction, seed: int = 0) -> tuple[pa.Table, ApplyReport]:
    """Apply records to a manifest of these rows, and check that applying them again changes nothing."""
    table = manifest(rows)
    corrections = log(tmp_path, *records)
    after, report = apply_corrections(table, corrections, CUTS, seed=seed)
    validate(after)
    again, second = apply_corrections(after, corrections, CUTS, seed=seed)
    assert again.to_pylist() == after.to_pylist()
    assert (second.rows_changed, second.counts["applied"]) == (0, 0)
    assert sum(report.counts.values()) == len(records)
    assert report.rows_changed == sum(a != b for a, b in zip(table.to_pylist(), after.to_pylist(), strict=True))
    return after, report


def counts(report: ApplyReport) -> dict[str, int]:
    return {outcome: count for outcome, count in report.counts.items() if count}


def outcome(report: ApplyReport) -> list[str]:
    return report.table["outcome"].to_pylist()


def family() -> dict[str, Row]:
    """Return two photos of a person, their crops, two synthetic shots (one cropped, one aged), and another person."""
    normal, worn = photo("p", age=25), photo("p", "mask1", age=25)
    masked = synthetic(normal, 1, "mask1")
    return {
        "normal": normal, "worn": worn, "normal_crop": crop(normal), "worn_crop": crop(worn),
        "masked": masked, "masked_crop": crop(masked), "aged": synthetic(normal, 2, "normal", age=65, mask="none"),
        "other": photo("q", age=25),
    }  # fmt: skip
