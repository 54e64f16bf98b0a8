"""Preparation of pictures before they are cached: crop, equalise, resize. Deterministic; imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from data_manifests.errors import ConfigError, must_be_one_of

Values = Mapping[str, float | list[float]]


def box(image: np.ndarray, xyxy: list[float]) -> np.ndarray:
    """Crop to fixed pixel bounds (left, top, right, bottom), such as (50, 50, 334, 400) of 384×512 photos.

    Raises ConfigError for bounds outside the picture.
    """
    left, top, right, bottom = (round(value) for value in xyxy)
    height, width = image.shape[:2]
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ConfigError(f"data.prepare.box must lie within a picture of {width}×{height} pixels. Got {xyxy} instead.")
    return image[top:bottom, left:right]


def centre_crop(image: np.ndarray, size: list[float]) -> np.ndarray:
    """Crop to the middle (height, width) pixels, or to the whole side where the picture is smaller."""
    height, width = (min(round(want), have) for want, have in zip(size, image.shape[:2], strict=True))
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def clahe(image: np.ndarray, clip: list[float]) -> np.ndarray:
    """Equalise the lightness by CLAHE with 8×8 tiles (Zuiderveld 1994); `clip` is the contrast limit."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(clip[0], (8, 8)).apply(lab[..., 0])
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


# name → function and its number of values
PREPARATIONS: dict[str, tuple[Callable[[np.ndarray, list[float]], np.ndarray], int]] = {
    "box": (box, 4),
    "centre_crop": (centre_crop, 2),
    "clahe": (clahe, 1),
}


def check_prepare(values: Values) -> None:
    """Check the names of `data.prepare` and their number of values. Raises ConfigError."""
    for name, value in values.items():
        if name not in PREPARATIONS:
            raise ConfigError(must_be_one_of("data.prepare", PREPARATIONS, name))
        if len(_as_list(value)) != PREPARATIONS[name][1]:
            raise ConfigError(f"data.prepare.{name} takes {PREPARATIONS[name][1]} numbers. Got {value!r} instead.")


def prepare_picture(image: np.ndarray, values: Values, size: tuple[int, int]) -> np.ndarray:
    """Prepare a picture: RGB uint8 (H, W, 3) → RGB uint8 (*size, 3).

    Applies the steps in order, then resizes, by area interpolation where both sides shrink.
    """
    for name, value in values.items():
        image = PREPARATIONS[name][0](image, _as_list(value))
    height, width = size
    shrinks = image.shape[0] >= height and image.shape[1] >= width
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def _as_list(value: float | list[float]) -> list[float]:
    return value if isinstance(value, list) else [value]
