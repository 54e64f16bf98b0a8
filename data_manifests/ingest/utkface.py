"""Layout `utkface`: files named [age]_[gender]_[race]_[date].jpg, as in the UTKFace data set."""

from __future__ import annotations

import logging
from pathlib import Path

import pyarrow as pa

from data_manifests.errors import ManifestError, must_be_one_of
from data_manifests.ingest.photo_rows import Photo, photo_from_file, photos_to_table, read_age, walk_images
from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts

_log = logging.getLogger(__name__)
_PARTS = ("age", "gender", "race", "date")


def ingest_utkface(
    source: Path, *, root_name: str, cuts: AgeCuts, mask: str | None = None, cache: Path | None = None
) -> pa.Table:
    """Read all images below `source`, with labels from file names: gender 0 is male, 1 female; race and date are kept.

    File names do not identify people, so every photo is its own person. `mask` is the label of all photos (None for
    unknown). Raises ManifestError if there is no image.
    """
    if mask is not None and mask not in MASKS:
        raise ManifestError(must_be_one_of("mask", MASKS, mask))
    paths, left_out = walk_images(source)
    for text in left_out:
        _log.warning("ignored %s", text)
    return photos_to_table([_photo(path, mask) for path in paths], source, root_name, cuts, cache)


def _photo(listed: str, mask: str | None) -> Photo:
    photo = photo_from_file(listed, mask)
    name = photo.path.split("/")[-1]
    parts = name.split(".")[0].split("_")  # some copies end in .jpg.chip.jpg
    if len(parts) != len(_PARTS):
        photo.problems.append(f"name must be [age]_[gender]_[race]_[date], got {name!r}")
        return photo
    age, gender, race, date = parts
    photo.extras = {"x_race": race or None, "x_date": date or None}
    try:
        photo.age = read_age(age)
    except ManifestError as error:
        photo.problems.append(str(error))
    if gender in ("0", "1"):
        photo.gender = GENDERS[int(gender)]
    else:
        photo.problems.append(f"gender must be 0 (male) or 1 (female), got {gender!r}")
    return photo
