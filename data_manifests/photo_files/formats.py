"""Formats and suffixes of photos, the same for every command, and the limits on their size."""

from __future__ import annotations

MAX_PIXELS = 64_000_000  # 8000 × 8000; a few kilobytes can decompress to gigabytes
MAX_BYTES = 256 * 2**20
# PIL's other readers (EPS, PDF, …) are not for photo formats, and some start external programs.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "HEIF")
SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".webp",
    ".bmp",
    ".tif",
    ".tiff",
    ".gif",
    ".heic",
    ".heif",
    ".avif",
)


def is_image_name(name: str) -> bool:
    """Return whether a file name is that of an image (not a macOS `._x.jpg` companion or another dot file)."""
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)
