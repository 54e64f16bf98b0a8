"""Words that data sets use for labels, age ranges and splits, and the labels in a name such as `with_mask_male`."""

from __future__ import annotations

import re

import numpy as np

from data_manifests.errors import ManifestError, must_be_one_of
from data_manifests.schema import SPLITS
from data_manifests.taxonomy import GENDERS, MASKS, MAX_AGE, N_AGE_CLASSES, N_CLASSES, AgeCuts, split_class_id

SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
EMPTY_WORDS = ("", "nan", "na", "n/a", "null", "unknown", "?")  # a label in a list that is not known

_MASK_PHRASES = {
    "worn": (
        *("worn", "with mask", "with masks", "with face mask", "masked", "mask on", "mask worn", "wearing mask"),
        *("wearing a mask", "correct mask", "correctly masked", "mask correct", "mask worn correctly"),
        *("mask weared correct", "mask worn correct", "correctly worn", "proper mask", "properly masked", "withmask"),
    ),
    "incorrect": (
        *("incorrect", "incorrect mask", "incorrectly masked", "incorrectly worn", "incorrectly worn mask"),
        *(
            "mask incorrect",
            "mask weared incorrect",
            "mask worn incorrect",
            "mask worn incorrectly",
            "worn incorrectly",
        ),
        *("wrong mask", "improper mask", "improperly masked", "mask incorrectly worn", "incorrectmask"),
    ),
    "none": (
        *("none", "without mask", "without masks", "without face mask", "no mask", "no face mask", "non mask"),
        *("nomask", "unmasked", "not masked", "mask off", "not wearing mask", "withoutmask", "maskless", "no masks"),
    ),
}
MASK_WORDS = {phrase: mask for mask, phrases in _MASK_PHRASES.items() for phrase in phrases}
# "mask" alone may also name a folder of segmentation masks, so it counts only beside another mask label.
BARE_MASK_WORDS = dict.fromkeys(("mask", "masks", "face mask", "facemask"), "worn")
GENDER_WORDS = {
    **dict.fromkeys(("male", "man", "men", "males", "boy", "boys", "남", "남자", "남성"), "male"),
    **dict.fromkeys(("female", "woman", "women", "females", "girl", "girls", "여", "여자", "여성"), "female"),
}


class AmbiguousAgeError(ManifestError):
    """A range of ages is not within one age class; with other age cuts it may be."""


_LONGEST = max(len(phrase.split()) for phrase in MASK_WORDS)
AMBIGUOUS_AGE = -1
_N = r"(\d{1,3})"
_AGE_RANGES = (  # a pattern and the first and last age that its numbers give
    (rf"(?:<|under|below|lessthan){_N}", lambda found: (0, found[0] - 1)),
    (rf"(?:<=|upto){_N}", lambda found: (0, found[0])),
    (rf"(?:>=|from){_N}|{_N}(?:\+|plus|andover|andolder|ormore)", lambda found: (found[0], MAX_AGE)),
    (rf"(?:>|over|above|morethan){_N}", lambda found: (found[0] + 1, MAX_AGE)),
    (rf"{_N}(?:-|–|to){_N}", lambda found: (found[0], found[1])),
)


def words_of(text: str) -> list[str]:
    """Return the lower-case words of a name: `WithMask`, `with_mask` and `with mask` give ["with", "mask"].

    An age range such as `30-59` stays one word.
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).lower()
    words = [word for word in re.split(r"[\s_,]+", spaced) if word]
    return [part for word in words for part in ([word] if age_range(word) else word.split("-")) if part]


def phrase_of(text: str) -> str:
    """Return the words of a name joined by spaces."""
    return " ".join(words_of(text))


def age_range(text: str) -> tuple[int, int] | None:
    """Return the first and last age (years) of a text such as `<30`, `under30`, `30-59`, `60+`; None for another."""
    compact = re.sub(r"[\s_]+", "", text.lower()).removeprefix("aged").removeprefix("ages").removeprefix("age")
    for pattern, ends in _AGE_RANGES:
        found = re.fullmatch(pattern, compact)
        if found:
            first, last = ends([int(number) for number in found.groups() if number])
            return (first, last) if 0 <= first <= last <= MAX_AGE else None
    return None


def read_age_class(text: str, cuts: AgeCuts) -> int:
    """Return the age class (0, 1 or 2) that contains an age range such as `20-29`. Raises ManifestError."""
    ages = age_range(text)
    if ages is None:
        raise ManifestError(f"age_class must be a range of ages such as {', '.join(cuts.names)}, got {text!r}")
    for age_class in range(N_AGE_CLASSES):
        first, last = cuts.bounds(age_class)
        if first <= ages[0] and ages[1] <= last:
            return age_class
    raise AmbiguousAgeError(f"ages {text} are in more than one of the classes {', '.join(cuts.names)}")


def read_split(text: str) -> str:
    """Return the split of a word such as "train", "Validation" or "dev". Raises ManifestError."""
    word = text.strip().lower()
    if word not in SPLIT_WORDS:
        raise ManifestError(must_be_one_of("split", SPLITS, text))
    return SPLIT_WORDS[word]


def split_of_path(path: str) -> str | None:
    """Return the split that a folder on a path is named after, or None: `train/worn/a.jpg` is in train."""
    for folder in path.split("/")[:-1]:
        if folder.lower() in SPLIT_WORDS:
            return SPLIT_WORDS[folder.lower()]
    return None


def split_of_file(path: str) -> str | None:
    """Return the split that a list of photos is named after: `train/labels.csv`, `labels_val.csv`, `train2017.json`."""
    words = words_of(path.rpartition("/")[2].partition(".")[0])
    found = (SPLIT_WORDS.get(word.rstrip("0123456789")) for word in words)
    return split_of_path(path) or next((split for split in found if split), None)


def labels_in_name(name: str, cuts: AgeCuts, *, has_bare_mask: bool = False) -> dict[str, str | int]:
    """Return the labels that a name consists of, keyed mask, gender, age_class; empty if it has any other word.

    A name is a class id (`0` to `17`, also `class_07`) or words for labels in any order. A range of ages that is not
    within one age class gives age_class AMBIGUOUS_AGE. With `has_bare_mask`, `mask` alone means worn.
    """
    number = re.fullmatch(r"(?:class[ _-]?)?(\d{1,2})", name.lower())
    if number and int(number[1]) < N_CLASSES:
        mask, gender, age_class = (int(part) for part in split_class_id(np.array(int(number[1]))))
        return {"mask": MASKS[mask], "gender": GENDERS[gender], "age_class": age_class}
    words, labels = words_of(name), dict[str, str | int]()
    phrases = MASK_WORDS | (BARE_MASK_WORDS if has_bare_mask else {})
    while words:
        for length in range(min(_LONGEST, len(words)), 0, -1):
            label = _label_of(" ".join(words[:length]), phrases, cuts)
            if label:
                labels |= label
                words = words[length:]
                break
        else:
            return {}
    return labels


def _label_of(phrase: str, masks: dict[str, str], cuts: AgeCuts) -> dict[str, str | int]:
    if phrase in masks:
        return {"mask": masks[phrase]}
    if phrase in GENDER_WORDS:
        return {"gender": GENDER_WORDS[phrase]}
    if age_range(phrase) is None:
        return {}
    try:
        return {"age_class": read_age_class(phrase, cuts)}
    except AmbiguousAgeError:
        return {"age_class": AMBIGUOUS_AGE}
