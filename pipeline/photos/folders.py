"""Plain folders of images: the files of a folder, the names of their outputs, and a CSV with a row per file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from data_manifests.errors import StageError
from data_manifests.files import write_csv_rows
from data_manifests.photo_files import SUFFIXES, FolderFiles, list_files, short_name


def checked_folders(src: Path, out: Path) -> tuple[Path, Path]:
    """Return both as absolute paths. Raises StageError if `src` is not a folder or contains `out`."""
    src, out = src.resolve(), out.resolve()
    if not src.is_dir():
        raise StageError(f"{src} is not a folder.")
    if out == src or src in out.parents:
        raise StageError(f"OUT must be outside SRC, or its images would be read as new ones. Got {out} instead.")
    return src, out


def list_pictures(src: Path) -> FolderFiles:
    """Return the images below `src`, and a reason for every other entry that is not hidden.

    Raises StageError if there is no image.
    """
    found = list_files(src)
    if not found.pictures:
        raise StageError(f"no picture ({', '.join(SUFFIXES)}) in {src}.")
    return found


def find_pictures(src: Path) -> list[str]:
    """Return the paths of the images below `src` as `list_pictures` does."""
    return list_pictures(src).pictures


def output_names(files: Sequence[str]) -> list[str]:
    """Return `a/b.jpg` for `a/b.png`; where names would collide (`b.png`, `b.webp`) the suffix stays: `a/b.png.jpg`."""
    keep: set[str] = set()
    while True:
        names = [f"{file}.jpg" if file in keep else str(PurePosixPath(file).with_suffix(".jpg")) for file in files]
        count = Counter(name.lower() for name in names)  # some file systems do not distinguish B.jpg from b.jpg
        more = {file for file, name in zip(files, names, strict=True) if count[name.lower()] > 1} - keep
        if not more:
            return names
        keep |= more


def write_report(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write rows as CSV, one by one and atomically, with the byte-order mark that Excel needs for UTF-8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{short_name(path.name)}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8-sig", newline="") as file:
        write_csv_rows(file, columns, rows)
    os.replace(temporary, path)
