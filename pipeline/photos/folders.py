"""A plain folder of pictures in, another out: which files, which names, and a CSV of what became of each."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from data_manifests.errors import StageError
from pipeline.photos.images import SUFFIXES


def checked_folders(src: Path, out: Path) -> tuple[Path, Path]:
    """Both as absolute paths. Raises StageError if `src` is no folder or `out` lies in it."""
    src, out = src.resolve(), out.resolve()
    if not src.is_dir():
        raise StageError(f"{src} is not a folder.")
    if out == src or src in out.parents:
        raise StageError(f"OUT must lie outside SRC, or its pictures would be taken for new ones. Got {out} instead.")
    return src, out


def find_pictures(src: Path) -> list[str]:
    """Paths relative to `src`, POSIX, in order; hidden files (macOS leaves `._name.jpg`) and folders are not pictures.

    Raises StageError if there are none.
    """
    paths = (path.relative_to(src) for path in src.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    found = sorted(path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts))
    if not found:
        raise StageError(f"no picture ({', '.join(SUFFIXES)}) in {src}.")
    return found


def output_names(files: Sequence[str]) -> list[str]:
    """`a/b.png` → `a/b.jpg`; where files would meet (`b.png`, `b.webp`), the old suffix stays: `a/b.png.jpg`."""
    keep: set[str] = set()
    while True:
        names = [f"{file}.jpg" if file in keep else str(PurePosixPath(file).with_suffix(".jpg")) for file in files]
        meets = Counter(name.lower() for name in names)  # some file systems do not tell B.jpg from b.jpg
        more = {file for file, name in zip(files, names, strict=True) if meets[name.lower()] > 1} - keep
        if not more:
            return names
        keep |= more


def write_report(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write rows as CSV, one by one, with the mark that Excel needs to read UTF-8; a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(temporary, path)
