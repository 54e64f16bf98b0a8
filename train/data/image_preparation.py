"""What is done once to every picture before it is kept: cut, equalise, resize. No randomness here, and no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from data_manifests.errors import ConfigError, must_be_one_of

Values = Mapping[str, float | list[float]]


def box(image: np.ndarray, xyxy: list[float]) -> np.ndarray:
    """The part within fixed pixel bounds (left, top, right, bottom), such as (50, 50, 334, 400) of 384×512 photos."""
    left, top, right, bottom = (round(value) for value in xyxy)
    height, width = image.shape[:2]
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ConfigError(f"data.prepare.box {xyxy} must lie within a picture of {width}×{height} pixels.")
    return image[top:bottom, left:right]


def centre_crop(image: np.ndarray, size: list[float]) -> np.ndarray:
    """The middle (height, width) pixels, or as much of them as the picture has."""
    height, width = (min(round(want), have) for want, have in zip(size, image.shape[:2], strict=True))
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def clahe(image: np.ndarray, clip: list[float]) -> np.ndarray:
    """Contrast-limited adaptive histogram equalisation of the lightness, 8×8 tiles (Zuiderveld 1994)."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(clip[0], (8, 8)).apply(lab[..., 0])
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


# name → function and how many numbers it takes
PREPARE: dict[str, tuple[Callable[[np.ndarray, list[float]], np.ndarray], int]] = {
    "box": (box, 4),
    "centre_crop": (centre_crop, 2),
    "clahe": (clahe, 1),
}


def check_prepare(values: Values) -> None:
    """Raise ConfigError for an unknown name or a wrong count of numbers."""
    for name, value in values.items():
        if name not in PREPARE:
            raise ConfigError(must_be_one_of("data.prepare", PREPARE, name))
        if len(_as_list(value)) != PREPARE[name][1]:
            raise ConfigError(f"data.prepare.{name} takes {PREPARE[name][1]} numbers. Got {value!r} instead.")


def prepare_picture(image: np.ndarray, values: Values, size: tuple[int, int]) -> np.ndarray:
    """RGB uint8 (H, W, 3) → RGB uint8 (*size, 3): the steps in order, then resized (area when it shrinks)."""
    for name, value in values.items():
        image = PREPARE[name][0](image, _as_list(value))
    height, width = size
    shrinks = image.shape[0] >= height and image.shape[1] >= width
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def _as_list(value: float | list[float]) -> list[float]:
    return value if isinstance(value, list) else [value]
