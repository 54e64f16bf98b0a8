"""Actions on marked photos, and the corrections that they make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curation_app.annotations import correction, value_of
from curation_app.shell import ACTION_KEYS, LABEL_KEYS
from data_manifests.corrections import CLASS_PREFIX, AnnotatorLog, Correction
from data_manifests.errors import CorrectionError
from data_manifests.schema import LABELS
from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts
from data_manifests.versions import Version

PERSON_WIDE = ("gender", "age")  # equal on all photos of a person; the mask differs from shot to shot
_MASK_NAMES = {"worn": "worn", "incorrect": "incorrect", "none": "no mask"}

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Action:
    """A button for marked photos. `field` and `value` are those of a record, or name a rule of `action_records`."""

    field: str
    value: str
    text: str
    key: str  # of the keyboard
    section: str = "Verdict"

    @property
    def name(self) -> str:
        """The id that the browser sends."""
        return f"{self.field}={self.value}"


EXCLUDE = Action("exclude", "true", "Exclude", ACTION_KEYS["exclude"])
INCLUDE = Action("exclude", "false", "Keep", ACTION_KEYS["include"])
SAME = Action("group", "same", "Label the others like the marked one", ACTION_KEYS["suggestion"])
KEEP = Action("group", "keep", "Keep all of the group", ACTION_KEYS["accept"])


def confirm_labels(fields: Sequence[str]) -> Action:
    """Return the action that confirms the labels of these fields as the manifest has them."""
    return Action("right", ",".join(fields), "Correct as labelled", ACTION_KEYS["accept"])


def accept_suggestions(fields: Sequence[str]) -> Action:
    """Return the action that sets the labels of these fields to the audit's suggestions."""
    return Action("suggested", ",".join(fields), "As suggested", ACTION_KEYS["suggestion"])


def relabel_actions(cuts: AgeCuts) -> list[Action]:
    """Return one action for each mask state, gender and age class."""
    keys = LABEL_KEYS
    masks = [Action("mask", mask, _MASK_NAMES[mask], keys["mask"][mask], "Mask") for mask in MASKS]
    genders = [Action("gender", gender, gender, keys["gender"][gender], "Gender") for gender in GENDERS]
    classes = [f"{CLASS_PREFIX}{k}" for k in range(len(cuts.display_names))]
    ages = [Action("age", k, name, keys["age"][k], "Age") for k, name in zip(classes, cuts.display_names, strict=True)]
    return masks + genders + ages


def action_records(
    action: Action, rows: Sequence[Row], version: Version, annotator: str, log: AnnotatorLog
) -> list[Correction]:
    """Return the records of an action on marked rows of the manifest, without those that change no annotation.

    Gender and age get one record for all photos of a person. Raises CorrectionError if suggestions are asked for and
    the audit has none for these rows.
    """
    fields = action.value.split(",")
    if action.field == "right":
        found = [(row, field, value_of(row, field)) for row in rows for field in fields]
        values = [(row, field, value) for row, field, value in found if value]
    elif action.field == "suggested":
        suggestions = [(row, field, row[f"suggested_{field}"]) for row in rows for field in fields]
        values = [(row, field, str(value)) for row, field, value in suggestions if value is not None]
        if not values:
            raise CorrectionError("The audit suggests nothing for the marked photos. Choose a label.")
    else:
        values = [(row, action.field, action.value) for row in rows]
    return _records([(row, field, new, field in PERSON_WIDE) for row, field, new in values], version, annotator, log)


def _records(
    values: Iterable[tuple[Row, str, str, bool]], version: Version, annotator: str, log: AnnotatorLog
) -> list[Correction]:
    """Return one record for each label, from (row, field, new value, is of the person)."""
    records: dict[tuple[str, str], Correction] = {}
    for row, field, new, person in values:
        if log.latest_of(row, field) != new:
            owner = row["person_id"] if person else row["sample_id"]
            records.setdefault((owner, field), correction(version, row, field, new, annotator, person=person))
    return list(records.values())


def group_action_records(
    action: Action, group: Sequence[Row], marked: Sequence[Row], version: Version, annotator: str, log: AnnotatorLog
) -> list[Correction]:
    """Return the records of an action on a group of duplicates.

    `KEEP` keeps all of them. `SAME` gives the others the labels of the marked one: for the whole person if it is the
    same person, else for the one photo, as the other person's remaining photos may be labelled correctly.
    """
    if action.name == KEEP.name:
        values = [(row, "exclude", "false", False) for row in group]
    else:
        if len(marked) != 1:
            raise CorrectionError("Mark one photo of each group: the one with the correct labels.")
        good = marked[0]
        labels = {field: _own_or_given(good, field, log) for field in LABELS}
        values = [
            (row, field, new, field in PERSON_WIDE and row["person_id"] == good["person_id"])
            for row in group
            for field, new in labels.items()
            if row["sample_id"] != good["sample_id"] and new and new != _own_or_given(row, field, log)
        ]
    return _records(values, version, annotator, log)


def _own_or_given(row: Row, field: str, log: AnnotatorLog) -> str:
    return log.latest_of(row, field) or value_of(row, field)


def text_of(field: str, value: str, cuts: AgeCuts) -> str:
    """Return a value of a record as a page shows it."""
    if field == "age" and value.startswith(CLASS_PREFIX):
        return cuts.display_names[int(value.removeprefix(CLASS_PREFIX))]
    if field == "exclude":
        return "excluded" if value == "true" else "kept"
    return _MASK_NAMES.get(value, value) if field == "mask" else value


def verdict(row: Row, log: AnnotatorLog, cuts: AgeCuts) -> str:
    """Return an annotator's latest annotation of a photo as a short text; empty if there is none."""
    own = {field: value for field in LABELS if (value := log.latest_of(row, field))}
    changed = [text_of(field, value, cuts) for field, value in own.items() if not _is_given(row, field, value)]
    exclude = log.latest_of(row, "exclude")
    if exclude == "true":
        return "excluded"
    if changed:
        return f"→ {' · '.join(changed)}"
    return "✓ correct" if own else "✓ kept" if exclude else ""


def _is_given(row: Row, field: str, value: str) -> bool:
    """Return whether a value is the label that the row has: equal, or the class of its age."""
    return value in (value_of(row, field), f"{CLASS_PREFIX}{row['age_class']}" if field == "age" else "")
