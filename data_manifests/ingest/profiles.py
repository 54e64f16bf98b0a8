"""Layout `profiles`: train.csv with id, gender, age, path, and seven shots per person in images/<path>/."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from data_manifests.errors import ManifestError
from data_manifests.ingest.csv_rows import CsvRow, read_csv, require_columns
from data_manifests.ingest.photos import Photo, extra_name, photos_to_table, read_age, read_gender, storable_path
from data_manifests.ingest.probe import is_image_name
from data_manifests.taxonomy import SHOT_MASK, SHOTS, AgeCuts

_log = logging.getLogger(__name__)
_NEEDED = ("id", "gender", "age", "path")
_PERSON = "person_id"  # optional; our own export writes it, so that synthetic profiles stay with their person
_LABELS: dict[str, Callable[[str], str | int]] = {"gender": read_gender, "age": read_age}
_JUNK = ("thumbs.db", "desktop.ini")


def ingest_profiles(source: Path, *, root_name: str, cuts: AgeCuts, cache: Path | None = None) -> pa.Table:
    """Read `source/train.csv` and the seven shots of each of its rows; seven rows (or more) per profile.

    `person_id` and `profile_id` are the column `id`; where the CSV has a column `person_id` too, that is the person.
    Further columns are kept as `x_…`. A missing shot is a failed row; of two files for one shot both are.
    Raises ManifestError when there is no train.csv or it lacks a column.
    """
    path = source / "train.csv"
    if not path.is_file():
        raise ManifestError(f"layout 'profiles' must have a train.csv, but {str(source)!r} has none. See --layout.")
    header, rows = read_csv(path)
    require_columns(path, header, _NEEDED)
    photos: list[Photo] = []
    strays: list[str] = []
    first_with: dict[tuple[str, str], int] = {}
    for row in rows:
        found, others = _profile(row, source, first_with)
        photos += found
        strays += others
    strays += _unlisted(source, {row.values["path"].replace("\\", "/").split("/")[0] for row in rows})
    if strays:
        _log.warning(
            "ignored %d files or folders that train.csv does not speak of, such as %s",
            len(strays),
            ", ".join(strays[:3]),
        )
    return photos_to_table(photos, source, root_name, cuts, cache)


def _profile(row: CsvRow, source: Path, first_with: dict[tuple[str, str], int]) -> tuple[list[Photo], list[str]]:
    """The photos of one row, and the names of files in its folder that are none."""
    common = _what_all_shots_share(row, first_with)
    folder, problem = storable_path("images/" + row.values["path"])
    if not row.values["path"]:
        problem = "path is empty"
    if problem:
        common.problems.append(f"{problem} in row {row.number}")
    here = source / folder
    shots, strays = _shots_of(here) if not problem else ({}, [])
    photos = []
    for shot in SHOTS:
        files = shots.get(shot, [])
        problems = list(common.problems)
        if len(files) > 1:
            problems.append(f"{len(files)} files for one shot: {', '.join(files)}")
        if not files and not problem:
            problems.append(f"shot {shot} is missing" if here.is_dir() else f"folder {folder} does not exist")
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
    return photos, [f"{folder}/{name}" for name in strays]


def _what_all_shots_share(row: CsvRow, first_with: dict[tuple[str, str], int]) -> Photo:
    """Person and labels of one row, with the problems that fail all of its shots."""
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
    """Shot → its file names, and the names of other files."""
    shots: dict[str, list[str]] = {}
    strays = []
    for name in sorted(os.listdir(folder)) if folder.is_dir() else []:
        shot = Path(name).stem.lower()
        if is_image_name(name) and shot in SHOTS:
            shots.setdefault(shot, []).append(name)
        elif not name.startswith(".") and name.lower() not in _JUNK:
            strays.append(name)
    return shots, strays


def _unlisted(source: Path, listed: set[str]) -> list[str]:
    """What lies in images/ with no row in train.csv."""
    folder = source / "images"
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    return [
        f"images/{name}"
        for name in names
        if not name.startswith(".") and name.lower() not in _JUNK and name not in listed
    ]
