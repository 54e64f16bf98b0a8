"""The files of a plain folder: its pictures, and a reason for every other entry."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from data_manifests.photo_files.formats import SUFFIXES, is_image_name

OTHER_FORMAT = f"not an image format that is read ({', '.join(SUFFIXES)})"


@dataclass(frozen=True)
class FolderFiles:
    """Entries of a folder by relative POSIX path, sorted: `pictures` by their suffix, and why others are left out."""

    pictures: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def list_files(folder: Path) -> FolderFiles:
    """List everything below a folder except hidden entries; nothing is opened.

    A picture may still be a link, a FIFO or broken: opening it gives the reason. A linked folder is not followed,
    because links can form a cycle.
    """
    pictures: list[str] = []
    left_out: dict[str, str] = {}

    def refuse(error: OSError) -> None:
        left_out[_shown(_below(folder, str(error.filename)))] = f"the folder cannot be read: {error.strerror}"

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            path = _below(folder, os.path.join(place, name))
            if os.path.islink(os.path.join(place, name)):
                left_out[_shown(path)] = "a linked folder is not followed"
        for name in names:
            if name.startswith("."):
                continue
            path = _below(folder, os.path.join(place, name))
            if _shown(path) != path:
                left_out[_shown(path)] = "the file name is not text in UTF-8"
            elif not is_image_name(name):
                left_out[path] = OTHER_FORMAT
            else:
                pictures.append(path)
    return FolderFiles(sorted(pictures), dict(sorted(left_out.items())))


def _below(folder: Path, path: str) -> str:
    return os.path.relpath(path, folder).replace(os.sep, "/")


def _shown(path: str) -> str:
    return path.encode("utf8", "backslashreplace").decode()
