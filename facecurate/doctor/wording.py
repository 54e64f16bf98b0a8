"""Findings as sentences, shared by the page and the terminal."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from facecurate.doctor.contents import Balance, Contents
from facecurate.doctor.suspects import Estimate
from pipeline.faces import FaceShare
from reporting.tables import class_label

_MOST_IN_ONE_CLASS = 0.95
_NEARLY_EQUAL = 1.2  # photos of the largest stratum for each one of the smallest
_LISTS = ("table", "imagefolder", "label_studio", "coco")  # layouts with --map
_FOLDERS = {"mask": "worn, incorrect and none", "gender": "male and female", "age": "under30, 30-59 and 60+"}


def count_noun(count: int, noun: str) -> str:
    """Return `1 photo` or `1,200 photos`; people is the plural of person."""
    plural = "people" if noun == "person" else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def per_person_text(photos_per_person: Mapping[int, int]) -> str:
    """Return `7 photos each`, or the range and the median of the photos of one person."""
    if not photos_per_person:
        return "no usable photo"
    low, high = min(photos_per_person), max(photos_per_person)
    if low == high:
        return f"{count_noun(low, 'photo')} each"
    return f"{low} to {count_noun(high, 'photo')} each"


def estimate_text(estimate: Estimate) -> str:
    """Return `About 14 of 600 gender labels are wrong.`"""
    are = "is" if estimate.wrong == 1 else "are"
    return f"About {estimate.wrong:,} of {estimate.labelled:,} {estimate.task} labels {are} wrong."


def balance_text(balance: Balance) -> str:
    """Return the ratio of the largest to the smallest stratum, the empty ones, and the photos that balancing takes."""
    if not balance.tasks:
        return "No label tells two photos apart, so there is nothing to balance."
    filled = [stratum for stratum in balance.strata if stratum.photos]
    if len(filled) < 2:
        return "No two strata have a photo with all labels."
    if not balance.missing:
        return f"All {len(balance.strata)} strata have {filled[0].photos:,} photos each."
    large, small = max(filled, key=lambda s: s.photos), min(filled, key=lambda s: s.photos)
    if not balance.empty and large.photos < _NEARLY_EQUAL * small.photos:
        return f"Balanced: each of the {len(balance.strata)} strata has {small.photos:,} to {large.photos:,} photos."
    text = (
        f"Largest to smallest {balance.ratio:,.0f} : 1 ({_stratum_name(large.labels)} {large.photos:,}, "
        f"{_stratum_name(small.labels)} {small.photos:,})."
    )
    if balance.empty:
        text += f" {balance.empty} of {len(balance.strata)} strata {'has' if balance.empty == 1 else 'have'} no photo."
    return f"{text} {balance.missing:,} more photos would make all of them as large as the largest."


def absent_text(task: str, layout: str) -> str:
    """Return the way to give a label that no photo of a layout has."""
    texts = []
    if layout == "folder":
        texts.append(f"Folders give it, such as {_FOLDERS[task]}.")
    elif layout in _LISTS:
        texts.append(f"Name its column: --map {task}=COLUMN.")
    if task == "mask" and layout != "folder":
        texts.append("If no face has a mask: --mask none.")
    return " ".join(texts)


def age_cuts_text(contents: Contents) -> str:
    """Return other age cuts, at the thirds of the ages, if nearly all photos are in one age class; else ""."""
    ages = np.repeat(list(contents.ages), list(contents.ages.values()))
    classes = contents.tasks[-1].photos.values()
    if not len(ages) or max(classes) < _MOST_IN_ONE_CLASS * sum(classes):
        return ""
    middle, old = (int(cut) for cut in np.quantile(ages, [1 / 3, 2 / 3]).round())
    if not contents.tasks[-1].labelled or not min(ages) < middle < old <= max(ages):
        return ""
    return f"Nearly all ages are in one class. Other classes: --age-cuts {middle},{old}"


def face_share_text(share: FaceShare) -> str:
    """Return the share of the picture that faces fill, and what follows from it."""
    text = share.text()[:1].upper() + share.text()[1:] + "."
    if not share.faces:
        return text
    if share.are_crops:
        return f"{text} Preprocessing leaves them as they are (crop.when=auto); crop.when=always cuts them again."
    return f"{text} Preprocessing crops them to the face (crop.when=auto); crop.when=never keeps them whole."


def _stratum_name(labels: tuple[str, ...]) -> str:
    return " ".join(map(class_label, labels))
