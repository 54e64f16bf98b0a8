"""Export format `profiles`, the layout of the competition: train.csv, and a folder of up to seven shots per profile."""

from __future__ import annotations

import csv
import errno
import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data_manifests.errors import ManifestError, PhotoError
from data_manifests.files import harmless
from data_manifests.photo_files import PhotoFile, photo_sha256, read_photo
from data_manifests.schema import EXTRA_PREFIX, LABELS, USABLE
from data_manifests.taxonomy import SHOT_MASK
from data_manifests.versions import Manifest, Store

_RACE = f"{EXTRA_PREFIX}race"
_READ = ("sample_id", "root", "path", "sha256", "person_id", "profile_id", "shot", *LABELS, "status", "reason")
_LEFT_OUT = {"outside": "file outside its root", "missing": "file missing"}
_LEDGER = ("sample_id", "root", "path", "written_as", "left_out_because", "reason")


@dataclass
class _Photo:
    """A row with the file to write for it, or the reason for leaving it out."""

    row: dict[str, Any]
    target: str = ""
    left_out: str = ""


@dataclass
class _Folder:
    """One line of train.csv: photos of one profile with the same gender and age."""

    name: str  # the id
    path: str
    row: dict[str, Any]  # one of its photos
    shots: dict[str, _Photo] = field(default_factory=dict)


def write_profiles(store: Store, manifest: Manifest, folder: Path, link: bool) -> tuple[dict[str, int], list[str]]:
    """Write train.csv, images/ and ledger.csv, and return the number of rows left out for each reason.

    A photo's shot follows its label: a photo relabelled from worn to incorrect is written as incorrect_mask. The layout
    has one gender, one age and seven shots per folder, so photos of one profile that differ in gender or age, or that
    need the same shot, go to separate folders. train.csv has the additional column `person_id`, so that all folders of
    a person, including synthetic ones, can be kept in one split. Raises ManifestError if no row can be written.
    """
    table = manifest.table
    columns = [*_READ, *([_RACE] if _RACE in table.column_names else [])]
    photos = [_Photo(row, left_out=_reason_to_leave_out(row)) for row in table.select(columns).to_pylist()]
    folders = _arrange([photo for photo in photos if not photo.left_out])
    placed = [photo for photo in photos if photo.target]
    _write_files(store, placed, folder, link)
    left_out = dict(Counter(photo.left_out for photo in photos if photo.left_out).most_common())
    if len(photos) == sum(left_out.values()):
        reasons = ", ".join(f"{count:,} with {reason}" for reason, count in left_out.items())
        ref = manifest.version.ref
        raise ManifestError(
            f"none of {len(photos):,} rows can be written as profiles, which need mask, gender and age: {reasons}. "
            f"Export all rows as a table: facecurate export {ref} --format csv --out {ref.replace('@', '-')}"
        )
    lines = [_line(one) for one in folders if not all(photo.left_out for photo in one.shots.values())]
    _write_csv(folder / "train.csv", ("id", "gender", "race", "age", "path", "person_id"), lines)
    _write_csv(folder / "ledger.csv", _LEDGER, (_ledger_line(photo) for photo in photos))
    return left_out, []


def _reason_to_leave_out(row: dict[str, Any]) -> str:
    if row["status"] not in USABLE:
        return f"status {row['status']}"
    return " and ".join(f"no {name}" for name in LABELS if row[name] is None)


def _arrange(photos: Sequence[_Photo]) -> list[_Folder]:
    """Assign each photo a folder and a shot."""
    groups: dict[tuple[str, str, int], list[_Photo]] = defaultdict(list)
    for photo in photos:
        groups[photo.row["profile_id"], photo.row["gender"], photo.row["age"]].append(photo)
    # The largest group of a profile keeps its plain name.
    ordered = sorted(groups.items(), key=lambda group: (group[0][0], -len(group[1]), group[0]))
    taken: set[str] = set()
    folders: list[_Folder] = []
    for _, members in ordered:
        own: list[_Folder] = []
        # Photos whose shot agrees with their label come first, so that they keep the shot.
        for photo in sorted(members, key=lambda photo: SHOT_MASK.get(photo.row["shot"]) != photo.row["mask"]):
            _place(photo, own, taken)
        folders += own
    for folder in folders:
        for shot, photo in folder.shots.items():
            photo.target = f"images/{folder.path}/{shot}{Path(photo.row['path']).suffix.lower()}"
    return folders


def _place(photo: _Photo, own: list[_Folder], taken: set[str]) -> None:
    """Put a photo into the first folder of its group with a free shot, or into a new folder."""
    mask, shot = photo.row["mask"], photo.row["shot"]
    shots = sorted((name for name in SHOT_MASK if SHOT_MASK[name] == mask), key=lambda name: name != shot)
    for folder in own:
        free = [name for name in shots if name not in folder.shots]
        if free:
            folder.shots[free[0]] = photo
            return
    row = photo.row
    name = _new_name(row["profile_id"], taken)
    path = "_".join(filter(None, (name, row["gender"], _safe(row.get(_RACE) or ""), str(row["age"]))))
    own.append(_Folder(name, path, row, {shots[0]: photo}))


def _new_name(profile: str, taken: set[str]) -> str:
    """Return a folder name for a profile: `000001-s1` for `000001/s1`, with -2, -3 … if taken, ignoring case."""
    base = _safe(profile) or "profile"
    name, count = base, 1
    while name.lower() in taken:
        count += 1
        name = f"{base}-{count}"
    taken.add(name.lower())
    return name


def _safe(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text).strip(".-")[:100]


def _write_files(store: Store, photos: Sequence[_Photo], folder: Path, link: bool) -> None:
    """Copy or link the files, leaving out those that are missing or changed."""
    roots = {name: store.file_of(name, "") for name in {photo.row["root"] for photo in photos}}
    for parent in {(folder / photo.target).parent for photo in photos}:
        parent.mkdir(parents=True)

    def write(photo: _Photo) -> str:
        source = PhotoFile(roots[photo.row["root"]], photo.row["path"])
        return _write_file(source, photo.row["sha256"], folder / photo.target, link)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        reasons = list(tqdm(pool.map(write, photos), total=len(photos), desc="export", unit="img"))
    for photo, reason in zip(photos, reasons, strict=True):
        if reason:
            photo.target, photo.left_out = "", reason
    for emptied in [path for path in (folder / "images").glob("*") if not any(path.iterdir())]:
        emptied.rmdir()


def _write_file(source: PhotoFile, sha256: str, target: Path, link: bool) -> str:
    """Copy or link one file. Return the reason if it is left out, otherwise an empty text."""
    try:
        data = b"" if link else read_photo(source)
        found = photo_sha256(source) if link else hashlib.sha256(data).hexdigest()
    except PhotoError as error:
        return _LEFT_OUT.get(error.kind, str(error))
    if found != sha256:
        return "file changed since ingest"
    if not link:
        target.write_bytes(data)
        return ""
    try:
        os.link(os.path.realpath(source.root / source.path), target)
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise ManifestError(
                f"hard links to files of {str(source.root)!r} cannot be made ({error.strerror}); use --copy."
            ) from None
        raise
    return ""


def _line(folder: _Folder) -> tuple[Any, ...]:
    row = folder.row
    return folder.name, row["gender"], row.get(_RACE) or "", row["age"], folder.path, row["person_id"]


def _ledger_line(photo: _Photo) -> tuple[Any, ...]:
    row = photo.row
    return row["sample_id"], row["root"], row["path"], photo.target, photo.left_out, row["reason"] or ""


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([harmless(cell) for cell in row] for row in rows)
