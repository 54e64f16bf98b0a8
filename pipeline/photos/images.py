"""Reading and writing of images. In memory: RGB uint8 (H, W, 3), upright."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from data_manifests.errors import StageError

MAX_PIXELS = 64_000_000  # a 64-megapixel camera; a larger file is a decompression bomb or a mistake
JPEG_QUALITY = 95
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class SavedImage:
    """A file that was written: its path (relative, POSIX), hash and size."""

    path: str
    sha256: str
    width_px: int
    height_px: int
    bytes: int


def load_rgb(path: Path, sha256: str | None = None, at_least_px: int | None = None) -> np.ndarray:
    """Read an image as RGB: upright by EXIF, alpha composited over white, grey and 16 bits converted to 8-bit RGB.

    With `at_least_px` a large JPEG may be decoded at a half, a quarter or an eighth of its size, with no side shorter
    than that, which takes a fraction of the time and memory.
    Raises StageError if the file is missing, not an image, truncated, larger than MAX_PIXELS, or (with `sha256`) not
    the recorded file. Pillow is used because OpenCV fills the missing part of a truncated JPEG with grey, without an
    error.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StageError(f"{path.name} cannot be read: {error.strerror}") from None
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        raise StageError(f"{path.name} has changed since it was ingested; see: facecurate verify REF")
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise StageError(f"{path.name} has {image.width}×{image.height} pixels, over the limit of {MAX_PIXELS}")
            if at_least_px:
                image.draft("RGB", (at_least_px, at_least_px))
            image.load()
            return _to_rgb(ImageOps.exif_transpose(image))
    except Image.DecompressionBombError:
        raise StageError(f"{path.name} is over the limit of {MAX_PIXELS} pixels") from None
    except UnidentifiedImageError:
        raise StageError(f"{path.name} is not a picture") from None
    except (OSError, SyntaxError, ValueError) as error:  # raised by Pillow for broken files
        raise StageError(f"{path.name} is broken: {error}") from None


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode == "RGB":
        return np.array(image)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        deep = np.asarray(image).astype(np.float32)
        grey = np.clip(deep / (257.0 if deep.max() > 255 else 1.0), 0, 255).astype(np.uint8)
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
    """Write (H, W, 3) uint8 RGB to `root/path` in the format of its suffix, atomically."""
    data = encode(image, Path(path).suffix)
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_bytes(data)
    os.replace(temporary, target)
    height, width = image.shape[:2]
    return SavedImage(path, hashlib.sha256(data).hexdigest(), width, height, len(data))
