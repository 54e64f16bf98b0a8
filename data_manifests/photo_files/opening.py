"""The one way to open a photo: inside its root after links, a regular file, of a limited size."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from data_manifests.errors import PhotoError
from data_manifests.photo_files import formats

# A FIFO without a writer would block `open` for ever; O_BINARY exists on Windows only.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_NOFOLLOW", 0)
_FLAGS |= getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class PhotoFile:
    """A photo: the folder that it must lie in, and its path below that folder."""

    root: Path
    path: str

    @property
    def name(self) -> str:
        """Return the file's name as text that can be printed."""
        return os.path.basename(self.path).encode("utf8", "backslashreplace").decode()


def open_photo(root: Path, path: str) -> BufferedReader:
    """Open the file `root/path` for reading.

    Raises PhotoError if the path is absolute, has `..` or leads out of the root through a link, if it is missing or no
    regular file (a folder, FIFO, socket or device), if it has more than MAX_BYTES, or if the system refuses it.
    """
    try:
        real = _resolve(root, path)
        _check_regular(os.stat(real))  # before opening: opening a device may have effects
        file = os.fdopen(os.open(real, _FLAGS), "rb")
        try:
            _check_regular(status := os.fstat(file.fileno()))
            if status.st_size > formats.MAX_BYTES:
                size, limit = status.st_size / 2**20, formats.MAX_BYTES // 2**20
                raise PhotoError(f"file has {size:.0f} MiB, the limit is {limit}", "unreadable")
        except BaseException:
            file.close()
            raise
        return file
    except (FileNotFoundError, NotADirectoryError):
        raise PhotoError("file does not exist", "missing") from None
    except OSError as error:
        raise _unreadable(error) from None
    except ValueError:  # a NUL byte, or text that the file system's encoding cannot express
        raise PhotoError("file name is not valid on this system", "unreadable") from None


def read_photo(photo: PhotoFile, sha256: str | None = None) -> bytes:
    """Return the bytes of a photo. Raises PhotoError as `open_photo`, for an empty file, and for another hash."""
    with open_photo(photo.root, photo.path) as file:
        try:
            data = file.read(formats.MAX_BYTES + 1)
        except OSError as error:
            raise _unreadable(error) from None
    if not data:
        raise PhotoError("file is empty (0 bytes)", "broken")
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        raise PhotoError("has changed since it was ingested; see: facecurate verify REF", "changed")
    return data


def photo_sha256(photo: PhotoFile) -> str:
    """Return the SHA-256 of a photo's bytes, 64 hex digits. Raises PhotoError as `open_photo`."""
    with open_photo(photo.root, photo.path) as file:
        try:
            return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise _unreadable(error) from None


def _resolve(root: Path, path: str) -> str:
    """Return the real path of a file inside its root."""
    if os.path.isabs(path) or ".." in path.replace("\\", "/").split("/"):
        raise PhotoError("path leads out of the photo folder", "outside")
    folder, real = os.path.realpath(root), os.path.realpath(os.path.join(root, path))
    if real != folder and not real.startswith(folder.rstrip(os.sep) + os.sep):
        raise PhotoError("path leads out of the photo folder through a link", "outside")
    return real


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise PhotoError("is not a file", "unreadable")


def _unreadable(error: OSError) -> PhotoError:
    return PhotoError(f"file cannot be read: {error.strerror}", "unreadable")
