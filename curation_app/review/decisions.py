"""The records of a reviewed person, from the labels on the screen.

For each label of each photo that could be shown: a value on the screen that is the manifest's confirms the label,
another one corrects it. If all photos of a person have one gender (one age) in the manifest and on the screen, that is
one record of the person. Photos that are kept get a record `exclude` only if another photo of the person is excluded:
so two annotators who exclude different photos of a person disagree. A last record, `unsure`, marks the person as seen;
see `review_progress`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

from curation_app.annotations import correction, value_of
from data_manifests.corrections import UNSURE, Correction, LabelKey
from data_manifests.errors import CorrectionError
from data_manifests.versions import Version

LABELS = ("mask", "gender", "age", "exclude")
_PERSON_WIDE = ("gender", "age")


def labels_of(row: Mapping[str, Any], changes: Mapping[LabelKey, str]) -> dict[str, str]:
    """Return a photo's labels as an annotator sees them: the manifest's, or the annotator's own where they differ."""
    return {
        field: changes.get((row["sample_id"], field)) or changes.get(("", field)) or value_of(row, field)
        for field in LABELS
    }


def review_records(
    version: Version,
    rows: Sequence[Mapping[str, Any]],
    shots: Sequence[Mapping[str, Any]],
    annotator: str,
    changes: Mapping[LabelKey, str],
    *,
    unsure: bool = False,
    note: str = "",
) -> list[Correction]:
    """Return the records of a person's rows from the shots (as many) that were on the screen, as one save.

    `changes` holds the annotator's earlier values. With `unsure` only changed labels get a record, as the others are
    not confirmed. Raises CorrectionError if the shots are not these rows, or if none of them could be shown.
    """
    if [(row["sample_id"], row["sha256"] or "") for row in rows] != [(s["sample_id"], s["sha256"]) for s in shots]:
        raise CorrectionError("The pictures on the screen are not those of this version any more. Reload the page.")
    pairs = [(row, shot) for row, shot in zip(rows, shots, strict=True) if shot["seen"]]
    if not pairs and not unsure:
        raise CorrectionError("No picture of this person could be shown, so no label can be confirmed. Press ↓.")
    made: list[Correction] = []

    def add(row: Mapping[str, Any], field: str, new: str, *, person: bool = False) -> None:
        is_changed = new != labels_of(row, changes)[field]
        if new and (is_changed or not unsure):
            made.append(correction(version, row, field, new, annotator, person=person, note=note))

    has_excluded = any(shot["exclude"] == "true" for _, shot in pairs)
    for row, shot in pairs:
        add(row, "mask", shot["mask"])
        is_changed = shot["exclude"] != value_of(row, "exclude") or (row["sample_id"], "exclude") in changes
        if is_changed or has_excluded:
            add(row, "exclude", shot["exclude"])
    for field in _PERSON_WIDE:
        if len({(value_of(row, field), shot[field]) for row, shot in pairs}) == 1 and len(pairs) == len(rows):
            add(pairs[0][0], field, pairs[0][1][field], person=True)
        else:
            for row, shot in pairs:
                add(row, field, shot[field])
    made.append(correction(version, rows[0], UNSURE, str(unsure).lower(), annotator, person=True, note=note))
    save_id, now = f"r{token_hex(8)}", datetime.now(UTC).isoformat()
    return [replace(record, time=now, save_id=save_id) for record in made]
