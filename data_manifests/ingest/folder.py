"""Layout `folder`: images in folders that are named after their labels."""

from __future__ import annotations

import logging
import re
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa

from data_manifests.errors import ManifestError
from data_manifests.ingest.photo_rows import Photo, photo_from_file, photos_to_table, walk_images
from data_manifests.taxonomy import GENDERS, MASKS, N_CLASSES, AgeCuts, split_class_id

_log = logging.getLogger(__name__)


def ingest_folder(source: Path, *, root_name: str, cuts: AgeCuts, cache: Path | None = None) -> pa.Table:
    """Read all images below `source`, with labels from the names of their folders, at any depth and in any order.

    A folder is a class id (`0` to `17`, also `class_07`), or words joined by spaces, `_` or `,`, each of which is a
    mask (`worn`, `incorrect`, `none`), a gender (`male`, `female`) or an age class (for the cuts 30 and 60: `<30`,
    `under30`; `30-59`; `>=60`, `60+`). So `worn male <30/a.jpg`, `worn_male_under30/a.jpg`, `worn/male/under30/a.jpg`
    and `0/a.jpg` give the same labels. Other folders (`train`, `part1`) give none.

    A label that no folder gives is null; `age` is always null, because folders give the class only. File names do not
    identify people, so every photo is its own person. A photo without any label, or with two different ones, fails.
    Raises ManifestError if no folder gives a label.
    """
    paths, strays = walk_images(source)
    if strays:
        _log.warning("ignored %d files that are not images", strays)
    words = _words(cuts)
    photos = [_photo(path, words) for path in paths]
    if photos and all(photo.mask is photo.gender is photo.age_class is None for photo in photos):
        names = sorted({PurePosixPath(path).parts[0] for path in paths if "/" in path}) or ["no folders"]
        raise ManifestError(
            f"a folder of {str(source)!r} must be named after a label: 0 to {N_CLASSES - 1}, or words such as "
            f"{', '.join(list(words)[:7])}. Got {{{', '.join(names[:5])}}} instead."
        )
    return photos_to_table(photos, source, root_name, cuts, cache)


def _words(cuts: AgeCuts) -> dict[str, dict[str, str | int]]:
    """Return the label of each word that a folder name may contain."""
    ages = [
        (f"<{cuts.middle}", f"under{cuts.middle}"),
        (f"{cuts.middle}-{cuts.old - 1}",),
        (f">={cuts.old}", f"{cuts.old}+"),
    ]
    words: dict[str, dict[str, str | int]] = {mask: {"mask": mask} for mask in MASKS}
    words |= {gender: {"gender": gender} for gender in GENDERS}
    return words | {name: {"age_class": code} for code, names in enumerate(ages) for name in names}


def _labels_of(folder: str, words: dict[str, dict[str, str | int]]) -> dict[str, str | int]:
    """Return the labels in one folder's name; empty if it contains any other word."""
    number = re.fullmatch(r"(?:class[ _-]?)?(\d{1,2})", folder.lower())
    if number and int(number[1]) < N_CLASSES:
        mask, gender, age_class = (int(part) for part in split_class_id(np.array(int(number[1]))))
        return {"mask": MASKS[mask], "gender": GENDERS[gender], "age_class": age_class}
    tokens = [token for token in re.split(r"[\s_,]+", folder.lower()) if token]
    if not all(token in words for token in tokens):
        return {}
    return {name: value for token in tokens for name, value in words[token].items()}


def _photo(listed: str, words: dict[str, dict[str, str | int]]) -> Photo:
    photo = photo_from_file(listed)
    given: dict[str, str | int] = {}
    for folder in Path(listed).parts[:-1]:
        for name, value in _labels_of(folder, words).items():
            if given.setdefault(name, value) != value:
                photo.problems.append(f"folders name two labels for {name}: {given[name]} and {value}")
    if not given:
        photo.problems.append("no folder on its way is named after a label")
    if not photo.problems:
        for name, value in given.items():
            setattr(photo, name, value)
    return photo
