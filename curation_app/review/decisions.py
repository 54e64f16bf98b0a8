"""What was on the screen → the records that say so. Pure.

For each label of each photo that could be seen: where the value on the screen is the manifest's, somebody looked and it
is right; where it is not, it should be that. If all photos of a person have one gender (one age) in the manifest and on
the screen, that is one record about the person. A last record, `unsure`, marks the person as seen; see `progress`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

from curation_app.annotations import UNDO, Label, Saved, correction, value_of
from data_manifests.corrections import UNSURE, Correction
from data_manifests.errors import CorrectionError
from data_manifests.versions import Version

LABELS = ("mask", "gender", "age", "exclude")
_OF_THE_PERSON = ("gender", "age")


def labels_of(row: Mapping[str, Any], words: Mapping[Label, str]) -> dict[str, str]:
    """A photo's labels as an annotator sees them: the manifest's, and over them what the annotator has said."""
    return {
        field: words.get((row["sample_id"], field)) or words.get(("", field)) or value_of(row, field)
        for field in LABELS
    }


def settle(
    version: Version,
    rows: Sequence[Mapping[str, Any]],
    shots: Sequence[Mapping[str, Any]],
    annotator: str,
    words: Mapping[Label, str],
    *,
    unsure: bool = False,
    note: str = "",
) -> list[Correction]:
    """Records about a person's rows from the shots (as many) that a browser says were on the screen.

    `words` is what the annotator has said before. An unsure annotator says only what was changed: agreeing with the
    rest would be a word. Raises CorrectionError if the shots are not these rows, or if none of them could be seen.
    """
    if [(row["sample_id"], row["sha256"] or "") for row in rows] != [(s["sample_id"], s["sha256"]) for s in shots]:
        raise CorrectionError("the pictures on the screen are not those of this version any more; reload the page.")
    pairs = [(row, shot) for row, shot in zip(rows, shots, strict=True) if shot["seen"]]
    if not pairs and not unsure:
        raise CorrectionError("no picture of this person could be shown, so there is nothing to accept; ↓ goes on.")
    made: list[Correction] = []

    def say(row: Mapping[str, Any], field: str, new: str, *, person: bool = False) -> None:
        changed = new != labels_of(row, words)[field]
        if new and (changed or not unsure):
            made.append(correction(version, row, field, new, annotator, person=person, note=note))

    for row, shot in pairs:
        say(row, "mask", shot["mask"])
        if shot["exclude"] != value_of(row, "exclude") or (row["sample_id"], "exclude") in words:
            say(row, "exclude", shot["exclude"])
    for field in _OF_THE_PERSON:
        if len({(value_of(row, field), shot[field]) for row, shot in pairs}) == 1 and len(pairs) == len(rows):
            say(pairs[0][0], field, pairs[0][1][field], person=True)
        else:
            for row, shot in pairs:
                say(row, field, shot[field])
    mark = correction(version, rows[0], UNSURE, str(unsure).lower(), annotator, person=True, note=note)
    now = datetime.now(UTC).isoformat()
    return [replace(record, time=now) for record in (*made, mark)]


def take_back(saved: Saved) -> list[Correction]:
    """Records that undo a save: each label is again what the annotator had said before, or nothing."""
    note, now = UNDO + saved.records[-1].correction_id, datetime.now(UTC).isoformat()
    return [
        replace(record, new=before, note=note, correction_id=token_hex(8), time=now)
        for record, before in zip(saved.records, saved.before, strict=True)
    ]
