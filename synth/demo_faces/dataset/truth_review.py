"""What a reviewer who knows the truth would say about a demo: its planted errors, as corrections.

Stands in for the people who review real photos, so that a run without them can show what their work is worth.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from data_manifests.corrections import Correction
from data_manifests.errors import StageError
from data_manifests.versions import Manifest

ANNOTATOR: Final = "demo-truth"
TIME: Final = "2026-01-01T00:00:00Z"  # the same words at every run, so that applying them again changes nothing
_EXCLUDED: Final = ("stranger", "duplicate")  # another person's picture has no place in this person's folder


def review(manifest: Manifest, truth: Path) -> list[Correction]:
    """A correction for each label of the manifest's photos that `truth` (a demo's truth.csv) contradicts.

    Pictures of strangers and copies are excluded, wrong mask states, genders and ages put right. Raises StageError if
    the truth is not of these photos.
    """
    try:
        with truth.open(encoding="utf8", newline="") as file:
            told = {row["path"]: row for row in csv.DictReader(file)}
    except OSError as error:
        raise StageError(f"{truth} cannot be read: {error.strerror}. Make it with: python -m synth demo OUT") from None
    columns = ["sample_id", "person_id", "path", "sha256", "mask", "gender", "age"]
    rows = manifest.table.select(columns).to_pylist()
    if not any(row["path"] in told for row in rows):
        raise StageError(f"{truth} tells of none of the photos of {manifest.version.ref}.")
    return [record for row in rows if row["path"] in told for record in _said_of(row, told[row["path"]], manifest)]


def _said_of(row: dict[str, Any], true: dict[str, str], manifest: Manifest) -> Iterator[Correction]:
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
