"""Layout `profiles`: train.csv with id, gender, age, path, and seven shots per person in images/<path>/."""

from __future__ import annotations

import logging
import os
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from data_manifests.errors import ManifestError
from data_manifests.ingest.csv_rows import CsvRow, read_csv, require_columns
from data_manifests.ingest.photo_rows import (
    Photo,
    detect_hint,
    extra_name,
    find_on_disk,
    photos_to_table,
    read_age,
    read_gender,
    storable_path,
)
from data_manifests.photo_files import is_image_name
from data_manifests.taxonomy import SHOT_MASK, SHOTS, AgeCuts

_log = logging.getLogger(__name__)
_NEEDED = ("id", "gender", "age", "path")
_PERSON = "person_id"  # optional; written by export, so that synthetic profiles keep their person
_LABELS: dict[str, Callable[[str], str | int]] = {"gender": read_gender, "age": read_age}
_SYSTEM_FILES = ("thumbs.db", "desktop.ini")


def ingest_profiles(source: Path, *, root_name: str, cuts: AgeCuts, cache: Path | None = None) -> pa.Table:
    """Read `source/train.csv` and the seven shots of each of its rows; seven rows or more per profile.

    `person_id` and `profile_id` are taken from the column `id`; a column `person_id` in the CSV takes precedence for
    the person. Further columns are kept as `x_…`. A missing shot is a failed row; two files for one shot are two failed
    rows. Raises ManifestError if train.csv or one of its columns is missing.
    """
    path = source / "train.csv"
    if not path.is_file():
        raise ManifestError(f"layout 'profiles' must have a train.csv. {str(source)!r} has none; {detect_hint(source)}")
    header, rows = read_csv(path)
    require_columns(path, header, _NEEDED)
    photos: list[Photo] = []
    unlisted: list[str] = []
    first_with: dict[tuple[str, str], int] = {}
    for row in rows:
        found, others = _profile(row, source, first_with)
        photos += found
        unlisted += others
    listed = {row.values["path"].replace("\\", "/").split("/")[0] for row in rows}
    unlisted += _unlisted_folders(source, {unicodedata.normalize("NFC", name) for name in listed})
    if unlisted:
        _log.warning(
            "ignored %d files or folders that train.csv does not list, such as %s",
            len(unlisted),
            ", ".join(unlisted[:3]),
        )
    return photos_to_table(photos, source, root_name, cuts, cache)


def _profile(row: CsvRow, source: Path, first_with: dict[tuple[str, str], int]) -> tuple[list[Photo], list[str]]:
    """Return the photos of one row, and the paths of other files in its folder."""
    common = _common_fields(row, first_with)
    folder, problem = storable_path("images/" + row.values["path"])
    if not row.values["path"]:
        problem = "path is empty"
    folder = folder if problem else find_on_disk(source, folder)
    if problem:
        common.problems.append(f"{problem} in row {row.number}")
    directory = source / folder
    shots, unlisted = _shots_of(directory) if not problem else ({}, [])
    photos = []
    for shot in SHOTS:
        files = shots.get(shot, [])
        problems = list(common.problems)
        if len(files) > 1:
            problems.append(f"{len(files)} files for one shot: {', '.join(files)}")
        if not files and not problem:
            problems.append(
                f"shot {shot} is missing" if os.path.isdir(directory) else f"folder {folder} does not exist"
            )
        photos += [
            replace(
                common,
                path=f"{folder}/{file}",
                person_id=common.person_id or folder,
                profile_id=common.profile_id or folder,
                shot=shot,
                mask=SHOT_MASK[shot],
                problems=list(problems),
                has_file=bool(files),
            )
            for file in files or [shot]
        ]
    return photos, [f"{folder}/{name}" for name in unlisted]


def _common_fields(row: CsvRow, first_with: dict[tuple[str, str], int]) -> Photo:
    """Return person and labels of one row, with the problems that fail all of its shots."""
    profile, person = row.values["id"], row.values.get(_PERSON, row.values["id"])
    extras = {extra_name(name): value or None for name, value in row.values.items() if name not in (*_NEEDED, _PERSON)}
    photo = Photo("", person, profile, extras=extras, problems=[row.problem] if row.problem else [])
    if not profile or not person:
        photo.problems.append(f"{_PERSON if profile else 'id'} is empty in row {row.number}")
    for name in ("id", "path"):
        value = row.values[name]
        before = first_with.setdefault((name, value), row.number)
        if value and before != row.number:
            photo.problems.append(f"{name} {value!r} of row {row.number} stands in row {before} already")
    for name, read in _LABELS.items():
        try:
            setattr(photo, name, read(row.values[name]))
        except ManifestError as error:
            photo.problems.append(f"{error} in row {row.number}")
    return photo


def _shots_of(folder: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Return the file names of each shot, and the names of other files."""
    shots: dict[str, list[str]] = {}
    unlisted = []
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        shot = Path(name).stem.lower()
        if is_image_name(name) and shot in SHOTS:
            shots.setdefault(shot, []).append(name)
        elif not name.startswith(".") and name.lower() not in _SYSTEM_FILES:
            unlisted.append(name)
    return shots, unlisted


def _unlisted_folders(source: Path, listed: set[str]) -> list[str]:
    """Return the entries of images/ without a row in train.csv."""
    folder = source / "images"
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    return [
        f"images/{name}"
        for name in names
        if not name.startswith(".")
        and name.lower() not in _SYSTEM_FILES
        and unicodedata.normalize("NFC", name) not in listed
    ]
