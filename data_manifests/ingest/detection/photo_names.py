"""Detection of the layouts that need no list: labels in file names, in folder names, or none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from data_manifests.ingest.detection.detected import NO_MASK_NOTE, DetectedLayout
from data_manifests.ingest.folder import labels_of_folders
from data_manifests.ingest.label_words import SPLIT_WORDS, labels_in_name, split_of_path
from data_manifests.taxonomy import N_CLASSES, AgeCuts

_UTKFACE = re.compile(r"\d{1,3}_[01]_\d_\d{6,}")
_MIN_UTKFACE = 0.8  # some copies have a few defective names
_MIN_LABELLED = 0.5  # share of photos below a folder that is named after a label
_NO_PERSON = re.compile(
    r"(part|batch|images?|imgs?|photos?|pictures?|faces?|data(set)?|set|folder|dir|cam(era)?|crops?|raw|new|old)[\W_\d]*"
)
_MAX_OF_PERSON = 200  # photos; a folder with more is hardly one person


def detect_utkface(root: Path, paths: Sequence[str]) -> DetectedLayout | None:
    """Return the layout if most file names begin with age, gender, race and date."""
    fitting = sum(_UTKFACE.match(path.rpartition("/")[2]) is not None for path in paths)
    if fitting < _MIN_UTKFACE * len(paths):
        return None
    evidence = f"{fitting:,} of {len(paths):,} file names are [age]_[gender]_[race]_[date]"
    notes = (f"file names give no mask label; {NO_MASK_NOTE}",)
    return DetectedLayout(root, "utkface", {}, evidence, has_labels=True, notes=notes)


def detect_folder(root: Path, paths: Sequence[str], cuts: AgeCuts) -> DetectedLayout | None:
    """Return the layout if most photos are in folders named after labels.

    Folders that are all numbers may as well name people: they count as class ids if they are 0 to 17, all of them.
    """
    labels = {name: given for name, given in labels_of_folders(paths, cuts).items() if given}
    numbers = {name for name in labels if name.isdigit()}
    if len(numbers) < N_CLASSES:
        labels = {name: given for name, given in labels.items() if name not in numbers}
    photos = Counter(name for path in paths for name in {*path.split("/")[:-1]} & labels.keys())
    labelled = sum(not labels.keys().isdisjoint(path.split("/")[:-1]) for path in paths)
    if not labelled or labelled < _MIN_LABELLED * len(paths):
        return None
    shown = ", ".join(
        f"{name} ({photos[name]:,})" for name in sorted(photos, key=lambda name: (-photos[name], name))[:6]
    )
    shown += ", …" if len(photos) > 6 else ""
    evidence = f"{labelled:,} of {len(paths):,} photos are in folders named after labels: {shown}{_splits(paths)}"
    return DetectedLayout(root, "folder", {}, evidence, has_labels=True)


def detect_plain(root: Path, paths: Sequence[str]) -> DetectedLayout:
    """Return the layout without labels, by person if the folders look like people."""
    folders = Counter(_without_splits(path) for path in paths)
    evidence = f"{len(paths):,} {'photo' if len(paths) == 1 else 'photos'}, taken without labels{_splits(paths)}"
    if not _are_people(folders, paths):
        return DetectedLayout(root, "plain", {}, evidence)
    evidence += f"; each of the {len(folders):,} folders is taken as one person"
    return DetectedLayout(root, "plain", {"person": "folder"}, evidence)


def _are_people(folders: Counter[str], paths: Sequence[str]) -> bool:
    """Return whether each folder seems to hold one person: its files repeat its name, or most hold a few photos."""
    names = [folder.rpartition("/")[2] for folder in folders]
    if len(folders) < 2 or any(map(_is_no_person, names)):
        return False
    repeated = sum(path.rpartition("/")[2].startswith(path.split("/")[-2]) for path in paths if "/" in path)
    if repeated >= 0.9 * len(paths):
        return True
    return len(folders) >= 5 and median(folders.values()) >= 2 and max(folders.values()) <= _MAX_OF_PERSON


def _without_splits(path: str) -> str:
    """Return the folder of a photo without folders named after splits, as ingest names the person."""
    return "/".join(part for part in path.split("/")[:-1] if part.lower() not in SPLIT_WORDS)


def _is_no_person(folder: str) -> bool:
    """Return whether the name of a folder is that of a split, a label or a part of a data set."""
    name = folder.lower()
    is_part = name in SPLIT_WORDS or _NO_PERSON.fullmatch(name) is not None
    return is_part or bool(not name.isdigit() and labels_in_name(folder, AgeCuts()))


def _splits(paths: Sequence[str]) -> str:
    """Return the splits that folders give as a part of the evidence."""
    counts = Counter(split for path in paths if (split := split_of_path(path)))
    return (
        f"; split by folder: {', '.join(f'{name} {count:,}' for name, count in sorted(counts.items()))}"
        if counts
        else ""
    )
