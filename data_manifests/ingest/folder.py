"""Layout `folder`: images in folders that are named after their labels."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

import pyarrow as pa

from data_manifests.errors import ManifestError
from data_manifests.ingest.label_words import AMBIGUOUS_AGE, SPLIT_WORDS, labels_in_name, split_of_path
from data_manifests.ingest.photo_rows import Photo, photo_from_file, photos_to_table, walk_images
from data_manifests.taxonomy import GENDERS, MASKS, N_CLASSES, AgeCuts

_log = logging.getLogger(__name__)


def ingest_folder(source: Path, *, root_name: str, cuts: AgeCuts, cache: Path | None = None) -> pa.Table:
    """Read all images below `source`, with labels from the names of their folders, at any depth and in any order.

    A folder is a class id (`0` to `17`, also `class_07`), or words joined by spaces, `_`, `-` or `,`, each of which is
    a mask (`worn`, `incorrect`, `none`; also `with_mask`, `mask_weared_incorrect`, `WithoutMask`), a gender (`male`,
    `women`) or a range of ages (`<30`, `under30`; `30-59`; `>=60`, `60+`). So `worn male <30/a.jpg`,
    `worn_male_under30/a.jpg`, `worn/male/under30/a.jpg` and `0/a.jpg` give the same labels. A folder `train`, `val`,
    `valid`, `validation` or `test` gives the split. Other folders (`part1`) give none.

    A label that no folder gives is null, as is the age class of a range that is in two of them; `age` is always null,
    because folders give the class only. File names do not identify people, so every photo is its own person. A photo
    without any label, or with two different ones, fails. Raises ManifestError if no folder gives a label.
    """
    paths, left_out = walk_images(source)
    for text in left_out:
        _log.warning("ignored %s", text)
    labels = labels_of_folders(paths, cuts)
    photos = [_photo(path, labels) for path in paths]
    if photos and not any(labels.values()):
        names = sorted({PurePosixPath(path).parts[0] for path in paths if "/" in path}) or ["no folders"]
        raise ManifestError(
            f"a folder of {str(source)!r} must be named after a label: 0 to {N_CLASSES - 1}, or words such as "
            f"{', '.join([*MASKS, *GENDERS, cuts.names[0], f'under{cuts.middle}'])}. Got {{{', '.join(names[:5])}}} "
            "instead; for photos without labels use --layout plain"
        )
    return photos_to_table(photos, source, root_name, cuts, cache)


def labels_of_folders(paths: Iterable[str], cuts: AgeCuts) -> dict[str, dict[str, str | int]]:
    """Return the labels that each folder name on the paths gives; empty for a name that is no label.

    `mask` counts as worn only beside a folder such as `no_mask`, because it may also hold segmentation masks.
    """
    names = sorted({folder for path in paths for folder in path.split("/")[:-1]})
    masks = {labels_in_name(name, cuts).get("mask") for name in names}
    has_bare_mask = bool(masks & {"none", "incorrect"})
    return {name: labels_in_name(name, cuts, has_bare_mask=has_bare_mask) for name in names if name not in SPLIT_WORDS}


def _photo(listed: str, labels: Mapping[str, Mapping[str, str | int]]) -> Photo:
    photo = photo_from_file(listed)
    photo.split = split_of_path(listed)
    given: dict[str, str | int] = {}
    for folder in listed.split("/")[:-1]:
        for name, value in labels.get(folder, {}).items():
            if given.setdefault(name, value) != value:
                photo.problems.append(f"folders name two labels for {name}: {given[name]} and {value}")
    if not given:
        photo.problems.append("no folder on its way is named after a label")
    if given.get("age_class") == AMBIGUOUS_AGE:
        photo.remarks.append("the ages of its folder are in more than one age class")
        del given["age_class"]
    if not photo.problems:
        for name, value in given.items():
            setattr(photo, name, value)
    return photo
