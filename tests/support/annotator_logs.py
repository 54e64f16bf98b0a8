"""Logs of several annotators, for tests of agreement and consensus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_manifests.agreement.labels import AnnotatedLabel, annotated_labels
from data_manifests.corrections.log import append_corrections, read_corrections
from data_manifests.corrections.record import Correction
from data_manifests.taxonomy import AgeCuts

CUTS = AgeCuts()
Row = dict[str, Any]


def event(row: Row, what: str, old: str, new: str, by: str, day: int = 1, **values: str) -> Correction:
    """Return a record about a photo's row, or with scope="person" about its person."""
    made = {"scope": "sample", "manifest": "faces@1#00000000", "time": f"2026-11-{day:02d}T12:00:00+00:00"}
    return Correction(
        sample_id=row["sample_id"], person_id=row["person_id"], field=what, old=old, new=new, annotator=by,
        **made | values,
    )  # fmt: skip


def log(path: Path, *records: Correction) -> Path:
    append_corrections(path, records)
    return path


def labels_of(tmp_path: Path, *records: Correction) -> list[AnnotatedLabel]:
    return annotated_labels(read_corrections([log(tmp_path / "log.csv", *records)]))


def values_of(label: AnnotatedLabel) -> dict[str, str]:
    return {name: value.value for name, value in label.annotations.items()}
