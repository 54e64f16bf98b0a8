"""Layout `plain`: photos without labels."""

from __future__ import annotations

import logging
from pathlib import Path

import pyarrow as pa

from data_manifests.errors import ManifestError, must_be_one_of
from data_manifests.ingest.label_words import SPLIT_WORDS, split_of_path
from data_manifests.ingest.photo_rows import Photo, photo_from_file, photos_to_table, walk_images
from data_manifests.taxonomy import MASKS, AgeCuts

_log = logging.getLogger(__name__)
PERSONS = ("photo", "folder")


def ingest_plain(
    source: Path,
    *,
    root_name: str,
    cuts: AgeCuts,
    person: str = "photo",
    mask: str | None = None,
    cache: Path | None = None,
) -> pa.Table:
    """Read all images below `source` without gender and age; a folder such as `train` or `test` gives the split.

    person: "photo" for a person of its own per photo, "folder" if all photos of a folder show one person, as in
    `Ada_Lovelace/1.jpg`; photos directly in `source` remain their own persons. mask: label of all photos, None for
    unknown. Raises ManifestError if there is no image.
    """
    if mask is not None and mask not in MASKS:
        raise ManifestError(must_be_one_of("mask", MASKS, mask))
    if person not in PERSONS:
        raise ManifestError(must_be_one_of("person", PERSONS, person))
    paths, left_out = walk_images(source)
    for text in left_out:
        _log.warning("ignored %s", text)
    photos = [_photo(path, mask, person == "folder") for path in paths]
    return photos_to_table(photos, source, root_name, cuts, cache)


def _photo(listed: str, mask: str | None, is_by_folder: bool) -> Photo:
    photo = photo_from_file(listed, mask)
    photo.split = split_of_path(listed)
    # The same folder in train/ and test/ is the same person.
    folder = "/".join(part for part in photo.path.split("/")[:-1] if part.lower() not in SPLIT_WORDS)
    if is_by_folder and folder:
        photo.person_id = photo.profile_id = folder
    return photo
