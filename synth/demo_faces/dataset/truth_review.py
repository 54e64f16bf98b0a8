"""Corrections of a demo's planted label errors, made from its truth.csv.

They take the place of human review, so that a run without reviewers can measure the value of corrections.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from data_manifests.corrections import Correction
from data_manifests.errors import StageError
from data_manifests.files import read_csv_frame
from data_manifests.versions import Manifest

ANNOTATOR: Final = "demo-truth"
TIME: Final = "2026-01-01T00:00:00Z"  # constant, so that applying the corrections again changes nothing
_NEEDED: Final = ("path", "error", "mask", "gender", "age")
_REMEDY: Final = "Make it with: facecurate synth demo OUT"
_EXCLUDED: Final = ("stranger", "duplicate")  # a photo of another person


def review(manifest: Manifest, truth: Path) -> list[Correction]:
    """Return a correction for each label of the manifest's photos that differs from `truth` (a demo's truth.csv).

    Photos of other people and copies are excluded; wrong mask states, genders and ages are corrected. Raises StageError
    if the truth file cannot be read or has none of these photos.
    """
    table = read_csv_frame(truth, remedy=_REMEDY, error=StageError, texts=_NEEDED, keep_default_na=False)
    if missing := [name for name in _NEEDED if name not in table.columns]:
        raise StageError(f"{truth} has no column {missing[0]!r}. {_REMEDY}")
    truth_rows = {row["path"]: {str(name): text for name, text in row.items()} for row in table.to_dict("records")}
    columns = ["sample_id", "person_id", "path", "sha256", "mask", "gender", "age"]
    rows = manifest.table.select(columns).to_pylist()
    if not any(row["path"] in truth_rows for row in rows):
        raise StageError(f"{truth} has none of the photos of {manifest.version.ref}. Give the truth.csv of that demo.")
    return [
        record
        for row in rows
        if row["path"] in truth_rows
        for record in _corrections(row, truth_rows[row["path"]], manifest)
    ]


def _corrections(row: dict[str, Any], true: dict[str, str], manifest: Manifest) -> Iterator[Correction]:
    wrong = {name: (str(row[name]), true[name]) for name in ("mask", "gender", "age") if str(row[name]) != true[name]}
    if true["error"] in _EXCLUDED:
        wrong = {"exclude": ("false", "true")}
    for field, (old, new) in wrong.items():
        yield Correction(
            manifest=manifest.version.pinned,
            sample_id=row["sample_id"],
            person_id=row["person_id"],
            scope="sample",
            field=field,
            old=old,
            new=new,
            annotator=ANNOTATOR,
            note=true["error"],
            image_sha256=row["sha256"],
            correction_id=f"truth-{row['sample_id']}-{field}",
            time=TIME,
        )
