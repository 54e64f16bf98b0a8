"""Reading and writing of images. In memory: RGB uint8 (H, W, 3), upright."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from data_manifests.errors import PhotoError, StageError
from data_manifests.photo_files import (
    PhotoFile,
    check_jpeg,
    check_relative,
    is_dark,
    is_deep_rgb,
    open_image,
    read_photo,
    short_name,
    value_scale,
)

JPEG_QUALITY = 95
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class SavedImage:
    """A file that was written: its path (relative, POSIX), hash and size."""

    path: str
    sha256: str
    width_px: int
    height_px: int
    bytes: int


def load_rgb(photo: PhotoFile | Path, sha256: str | None = None, at_least_px: int | None = None) -> np.ndarray:
    """Read a photo as RGB: upright by EXIF, alpha composited over white, more than 8 bits scaled (`value_scale`).

    A Path is a file that the user named, with its own folder as root. With `at_least_px` a large JPEG may be decoded
    at a half, a quarter or an eighth of its size, with no side shorter than that, which takes a fraction of the time
    and memory. Raises PhotoError, with the file's name, as `read_photo`, `open_image` and `check_jpeg`.
    """
    if isinstance(photo, Path):
        photo = PhotoFile(photo.parent, photo.name)
    try:
        data = read_photo(photo, sha256)
        with open_image(data) as image:
            if at_least_px:
                image.draft("RGB", (at_least_px, at_least_px))
            else:
                check_jpeg(image, data)
            is_deep, orientation = is_deep_rgb(image), image.getexif().get(_ORIENTATION, 1)
            image.load()
            if is_deep and is_dark(image):
                image = _read_deep(data, image, orientation)
            return _to_rgb(ImageOps.exif_transpose(image), image)
    except PhotoError as error:
        raise PhotoError(f"{photo.name}: {error}", error.kind) from None


def _read_deep(data: bytes, image: Image.Image, orientation: int) -> Image.Image:
    """Return an image of 16 bits per colour with its values scaled; as it is if OpenCV cannot read it."""
    deep = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if deep is None or deep.dtype != np.uint16 or deep.ndim != 3 or deep.shape[:2] != image.size[::-1]:
        return image
    white, _ = value_scale(image, deep[..., :3])
    colours = np.clip(deep[..., 2::-1] * (255.0 / white), 0, 255).astype(np.uint8)
    layers = [colours] if deep.shape[2] == 3 else [colours, (deep[..., 3:] // 256).astype(np.uint8)]
    scaled = Image.fromarray(np.dstack(layers))
    if image.format != "TIFF":  # OpenCV turns a TIFF, as Pillow does
        scaled.getexif()[_ORIENTATION] = orientation
    return scaled


def _to_rgb(image: Image.Image, source: Image.Image) -> np.ndarray:
    """Return an upright image as RGB; `source` is the same one with the tags of its file."""
    if image.mode == "RGB":
        return np.array(image)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        deep = np.asarray(image)
        white, _ = value_scale(source, deep)
        values = np.nan_to_num(deep.astype(np.float32), nan=0.0)
        grey = np.clip(values / np.float32(white / 255.0), 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"))


def encode(image: np.ndarray, suffix: str) -> bytes:
    """Return the bytes of a .jpg (quality 95, 4:4:4) or .png file; equal images give equal bytes."""
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]  # 4:4:4
    done, encoded = cv2.imencode(suffix, image[..., ::-1], options if suffix == ".jpg" else [])
    if not done:
        raise StageError(f"an image of shape {image.shape} cannot be written as {suffix}")
    return encoded.tobytes()


def save_rgb(image: np.ndarray, root: Path, path: str) -> SavedImage:
    """Write (H, W, 3) uint8 RGB to `root/path` in the format of its suffix, atomically.

    Raises PhotoError for a path that leads out of the root.
    """
    target = check_relative(root, path)
    data = encode(image, Path(path).suffix)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{short_name(target.name)}.{os.getpid()}")
    temporary.write_bytes(data)
    os.replace(temporary, target)
    height, width = image.shape[:2]
    return SavedImage(path, hashlib.sha256(data).hexdigest(), width, height, len(data))
