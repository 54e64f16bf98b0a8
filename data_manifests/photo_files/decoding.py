"""The one way to decode a photo: an explicit list of formats, a limit of pixels, every error as a PhotoError."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from PIL import Image

from data_manifests.errors import PhotoError, ToolkitError
from data_manifests.photo_files import formats

_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes")
_MAX_EXTRANEOUS = 0.01  # of the file; some cameras pad their JPEG data with a few bytes


@contextmanager
def open_image(data: bytes) -> Iterator[Image.Image]:
    """Provide a photo's bytes as an image that is not decoded yet.

    Raises PhotoError for bytes that are no photo, too many pixels, and whatever a decoder raises inside the `with`.
    """
    _register_heif()
    try:
        with Image.open(io.BytesIO(data), formats=formats.FORMATS) as image:
            if image.width * image.height > formats.MAX_PIXELS:
                raise PhotoError(_too_large(f"{image.width}×{image.height} px"), "broken")
            yield image
    except ToolkitError:
        raise
    except Image.UnidentifiedImageError:
        known = ", ".join(formats.FORMATS)
        raise PhotoError(f"is not a picture in a known format ({known})", "broken") from None
    except Image.DecompressionBombError:
        raise PhotoError(_too_large("the picture"), "broken") from None
    except Exception as error:  # decoders raise many types for damaged files
        raise PhotoError(_cannot_be_decoded(error), "broken") from None


def check_jpeg(image: Image.Image, data: bytes) -> bool:
    """Return whether a photo is a JPEG that decodes completely; False if Pillow has to find out.

    libjpeg fills what is missing with grey, and Pillow does not report it. Raises PhotoError for a JPEG with missing,
    damaged or left-over data: it was cut, or its header states another size.
    """
    if image.format not in ("JPEG", "MPO"):
        return False
    import simplejpeg

    colours = "CMYK" if image.mode == "CMYK" else "GRAY"
    height, width = (max(1, side // 8) for side in (image.height, image.width))  # reads every byte, and is quicker
    try:
        simplejpeg.decode_jpeg(
            data, colours, fastdct=True, fastupsample=True, min_height=height, min_width=width, strict=True
        )
    except Exception as error:
        text = str(error)
        extraneous = _EXTRANEOUS.search(text)
        if extraneous and int(extraneous[1]) <= max(64, _MAX_EXTRANEOUS * len(data)):
            return False
        if not text.startswith("Corrupt JPEG data"):
            return False  # a kind that this decoder does not know, or an error that Pillow reports too
        image.load()  # Pillow's own reason, where it has one
        detail = "it was cut, or its header states another size"
        raise PhotoError(f"cannot be decoded: {text[0].lower()}{text[1:]} ({detail})", "broken") from None
    return True


@cache
def _register_heif() -> None:
    """Make Pillow read HEIC; the library is loaded with the first photo, not with every command."""
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False)


def _cannot_be_decoded(error: Exception) -> str:
    return f"cannot be decoded: {' '.join(str(error).split()) or type(error).__name__}"


def _too_large(what: str) -> str:
    return f"{what} is over the limit of {formats.MAX_PIXELS // 10**6} million pixels"
