"""Photos with more than 8 bits: which value is white."""

from __future__ import annotations

import numpy as np
from PIL import Image

_MAX_DARK = 63  # the brightest value, at 8 bits, of a picture of 16 bits that holds 14 bits or fewer
_MAX_SAMPLE_TAGS = (341, 281)  # TIFF: SMaxSampleValue, MaxSampleValue
_LIMITS = (255, 1023, 4095, 16383, 65535)  # 8 to 16 bits


def is_deep_rgb(image: Image.Image) -> bool:
    """Return whether an image that is not decoded yet has 16 bits of each colour; Pillow keeps the upper 8."""
    tile = getattr(image, "tile", None)
    if image.mode not in ("RGB", "RGBA") or not tile:
        return False
    arguments = tile[0][3]
    raw_mode = arguments if isinstance(arguments, str) else next(iter(arguments or ()), "")
    return ";16" in str(raw_mode)


def is_dark(image: Image.Image) -> bool:
    """Return whether no colour of a decoded RGB image has a value above a quarter of white."""
    return int(np.asarray(image)[..., :3].max(initial=0)) <= _MAX_DARK


def value_scale(image: Image.Image, deep: np.ndarray) -> tuple[float, str]:
    """Return the value of white in an array of more than 8 bits, and a remark if it is not that of its type.

    White is what a TIFF states, else the least of 1 (floats), 8, 10, 12, 14 and 16 bits that holds the maximum.
    """
    top = float(np.nan_to_num(deep, nan=0.0, posinf=0.0, neginf=0.0).max(initial=0))
    stated = _stated_white(image)
    if stated is not None and stated >= top:
        white, why = stated, "as the file states"
    else:
        limits = (1, *_LIMITS) if np.issubdtype(deep.dtype, np.floating) else _LIMITS
        white, why = float(next((limit for limit in limits if limit >= top), top)), "judging by its maximum"
    if white in (255.0, 65535.0):
        return white, ""
    return white, f"values up to {top:.6g} are scaled so that {white:.6g} is white, {why}"


def _stated_white(image: Image.Image) -> float | None:
    tags = getattr(image, "tag_v2", {})
    for tag in _MAX_SAMPLE_TAGS:
        value = tags.get(tag)
        value = value[0] if isinstance(value, tuple) and value else value
        if isinstance(value, int | float) and np.isfinite(value) and value > 0:
            return float(value)
    return None
