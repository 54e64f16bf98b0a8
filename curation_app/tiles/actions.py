"""What can be done to the photos that somebody marked, and the records that it makes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curation_app.annotations import Words, correction, value_of
from curation_app.tiles.selection import age_names
from data_manifests.corrections import CLASS_PREFIX, Correction
from data_manifests.errors import CorrectionError
from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts
from data_manifests.versions import Version

LABELS = ("mask", "gender", "age")
PERSON_WIDE = ("gender", "age")  # a person's photos share them; the mask differs from shot to shot
_SHORT = {"worn": "worn", "incorrect": "incorrect", "none": "no mask"}

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Action:
    """A button: what it says to marked photos. `field` and `value` as in a record; see `records_of` for the others."""

    field: str
    value: str
    text: str
    key: str  # of the keyboard
    section: str = "Verdict"

    @property
    def name(self) -> str:
        return f"{self.field}={self.value}"


EXCLUDE = Action("exclude", "true", "Exclude", "e")
INCLUDE = Action("exclude", "false", "Keep", "k")
SAME = Action("group", "same", "Label the others like the marked one", "s")
KEEP = Action("group", "keep", "Keep all of the group", "Enter")


def right(fields: Sequence[str]) -> Action:
    """The labels of these fields are right as the manifest has them."""
    return Action("right", ",".join(fields), "Right as labelled", "Enter")


def suggested(fields: Sequence[str]) -> Action:
    """The labels of these fields should be what the audit suggests."""
    return Action("suggested", ",".join(fields), "As suggested", "s")


def relabelling(cuts: AgeCuts) -> list[Action]:
    """One button per mask state, gender and age class."""
    masks = [Action("mask", mask, _SHORT[mask], key, "Mask") for mask, key in zip(MASKS, "win", strict=True)]
    genders = [Action("gender", gender, gender, gender[0], "Gender") for gender in GENDERS]
    ages = [Action("age", f"{CLASS_PREFIX}{k}", name, "890"[k], "Age") for k, name in enumerate(age_names(cuts))]
    return masks + genders + ages


def records_of(action: Action, rows: Sequence[Row], version: Version, annotator: str, words: Words) -> list[Correction]:
    """The records for an action on marked rows (as the manifest has them), without what was said already.

    Gender and age are said of the person, once for all of their photos. Raises CorrectionError if the audit is to be
    followed and suggests nothing.
    """
    fields = action.value.split(",")
    if action.field == "right":
        said = [(row, field, value_of(row, field)) for row in rows for field in fields if value_of(row, field)]
    elif action.field == "suggested":
        found = [(row, field, row[f"suggested_{field}"]) for row in rows for field in fields]
        said = [(row, field, str(new)) for row, field, new in found if new is not None]
        if not said:
            raise CorrectionError("the audit suggests nothing for the marked photos; choose a label.")
    else:
        said = [(row, action.field, action.value) for row in rows]
    return _records([(row, field, new, field in PERSON_WIDE) for row, field, new in said], version, annotator, words)


def _records(
    said: Iterable[tuple[Row, str, str, bool]], version: Version, annotator: str, words: Words
) -> list[Correction]:
    """Records, one for each label: a person's is said once, by the first of their photos."""
    records: dict[tuple[str, str], Correction] = {}
    for row, field, new, person in said:
        if words.of(row, field) != new:
            about = row["person_id"] if person else row["sample_id"]
            records.setdefault((about, field), correction(version, row, field, new, annotator, person=person))
    return list(records.values())


def records_of_group(
    action: Action, group: Sequence[Row], marked: Sequence[Row], version: Version, annotator: str, words: Words
) -> list[Correction]:
    """The records for an action on a group of pictures that are the same.

    `KEEP` says of all that they stay. `SAME` gives the others the labels of the one that is marked: the whole person
    if it is the same person; else the one photo, for the rest of the other person's photos may be labelled well.
    """
    if action.name == KEEP.name:
        said = [(row, "exclude", "false", False) for row in group]
    else:
        if len(marked) != 1:
            raise CorrectionError("mark one photo of each pair: the one whose labels are right.")
        good = marked[0]
        labels = {field: words.of(good, field) or value_of(good, field) for field in LABELS}
        said = [
            (row, field, new, field in PERSON_WIDE and row["person_id"] == good["person_id"])
            for row in group
            for field, new in labels.items()
            if row["sample_id"] != good["sample_id"] and new and new != (words.of(row, field) or value_of(row, field))
        ]
    return _records(said, version, annotator, words)


def text_of(field: str, value: str, cuts: AgeCuts) -> str:
    """A value of a record, as a page says it."""
    if field == "age" and value.startswith(CLASS_PREFIX):
        return age_names(cuts)[int(value.removeprefix(CLASS_PREFIX))]
    if field == "exclude":
        return "excluded" if value == "true" else "kept"
    return _SHORT.get(value, value) if field == "mask" else value


def verdict(row: Row, words: Words, cuts: AgeCuts) -> str:
    """What an annotator has made of a photo, in a word or two; empty if nothing."""
    own = {field: word for field in LABELS if (word := words.of(row, field))}
    changed = [text_of(field, word, cuts) for field, word in own.items() if not _is(row, field, word)]
    exclude = words.of(row, "exclude")
    if exclude == "true":
        return "excluded"
    if changed:
        return f"→ {' · '.join(changed)}"
    return "✓ right" if own else "✓ kept" if exclude else ""


def _is(row: Row, field: str, word: str) -> bool:
    """Whether a label is what the word says: the same value, or an age of the class."""
    return word in (value_of(row, field), f"{CLASS_PREFIX}{row['age_class']}" if field == "age" else "")
