"""The keyboard map: one table, sent to the scripts in the browser and shown in their help.

Keys are named as in the browser's `KeyboardEvent.key`, letters in lower case; `Shift+` and `Ctrl+` are prefixes. What a
key does on a page is a command, for which the page's script has a function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from data_manifests.corrections import CLASS_PREFIX
from data_manifests.taxonomy import GENDERS, MASKS

LABEL_KEYS: dict[str, dict[str, str]] = {  # field → value as in a correction → key
    "mask": dict(zip(MASKS, "win", strict=True)),
    "gender": dict(zip(GENDERS, "mf", strict=True)),
    "age": {f"{CLASS_PREFIX}{age_class}": key for age_class, key in enumerate("890")},
}
ACTION_KEYS = {"accept": "Enter", "suggestion": "s", "exclude": "e", "include": "k"}  # of buttons for marked pictures


@dataclass(frozen=True)
class Binding:
    """The keys of one command, with its line in the help; without `text` it has none."""

    command: str
    keys: tuple[str, ...]
    text: str = ""


REVIEW = (
    Binding("accept", ("Enter", " "), "accept the labels shown, with your changes"),
    Binding("unsure", ("q",), "mark as unsure"),
    Binding("suggestion", ("s",), "apply the suggestions of the audit"),
    Binding("shot", tuple("1234567"), "choose a shot"),
    Binding("left", ("ArrowLeft",), "choose the shot to the left"),
    Binding("right", ("ArrowRight",), "choose the shot to the right"),
    Binding("mask", tuple(LABEL_KEYS["mask"].values()), "set the mask of the chosen shot: worn, incorrect, none"),
    Binding("exclude", ("x",), "exclude the chosen shot, or include it again"),
    Binding("exclude_all", ("Shift+x",), "exclude all shots of the person, or include them again"),
    Binding("gender", tuple(LABEL_KEYS["gender"].values()), "set the gender of the person: male, female"),
    Binding("age", tuple(LABEL_KEYS["age"].values()), "set the age class of the person: youngest, middle, oldest"),
    Binding("years", ("a",), "type the age in years: a 6 3 Enter"),
    Binding("note", ("t",), "add a note to this person's corrections"),
    Binding("undo", ("u", "Ctrl+z"), "undo a change, or the last person saved"),
    Binding("next", ("ArrowDown",), "skip to the next person without saving"),
    Binding("previous", ("ArrowUp",), "return to the previous person"),
    Binding("help", ("?",), "show this help"),
)
TILES = (
    Binding("mark", ("x",)),
    Binding("mark_all", ("a",), "mark all"),
    Binding("invert_marks", ("o",), "invert marks"),
    Binding("cancel", ("Escape",), "clear marks"),
    Binding("zoom", (" ",), "enlarge"),
    Binding("undo", ("u",)),
    Binding("previous_page", ("[",)),
    Binding("next_page", ("]",)),
    Binding("left", ("ArrowLeft",)),
    Binding("right", ("ArrowRight",)),
    Binding("up", ("ArrowUp",)),
    Binding("down", ("ArrowDown",)),
)


def keyboard(bindings: tuple[Binding, ...]) -> dict[str, Any]:
    """Return a page's bindings as JSON values: `labels` by field and value, and `bindings` in the order of the help."""
    return {
        "labels": LABEL_KEYS,
        "bindings": [{"command": one.command, "keys": list(one.keys), "text": one.text} for one in bindings],
    }
