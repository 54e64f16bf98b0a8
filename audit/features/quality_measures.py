"""Quality measures of a picture, each a function from an image to a number.

cleanvision measures whole pictures; these functions measure the face, because a sharp wall behind a blurred face does
not make a sharp photo.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from audit.features.aligned_face import align_face, eyes_xy

FACE_PX = 64
# log10 of the Laplacian's variance on a 64-px face: 2.9 to 3.4 for sharp portraits, 2.1 after a Gaussian blur of 4 % of
# the eye distance (no eyelashes), 1.7 at 6 % (smeared pupils), 1.2 at 10 % (unusable); medians of 52 portraits.
SHARPNESS_RANGE = (1.0, 3.0)
DARK, BRIGHT = 12, 243  # grey values; a pixel outside is clipped
MEAN_LOW, MEAN_HIGH = 45, 210  # range of the mean grey value of a well exposed face
MIN_EYE_DISTANCE_PX = 24.0  # of a face about 60 px wide; landmarks and labels of smaller ones are unreliable
MAX_GREY_SPREAD = 2.5  # mean distance between the channels of a grey picture, JPEG noise included
MAX_BORDER_DEVIATION, MIN_BORDER_STEP = 2.0, 12.0  # grey levels within a border, and at its end
MIN_BORDER_SHARE = 0.015  # of the side

# Below these a photo is an issue of the quality check.
LIMITS = {"blur_score": 0.35, "exposure_score": 0.5, "face_size_score": 0.99}


def calc_blur_score(face: np.ndarray) -> float:
    """Return 0 (no detail) to 1 (sharp): the log variance of the Laplacian of an aligned face, over SHARPNESS_RANGE."""
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    variance = float(cv2.Laplacian(grey, cv2.CV_32F).var())
    low, high = SHARPNESS_RANGE
    return float(np.clip((np.log10(variance + 1e-3) - low) / (high - low), 0, 1))


def calc_exposure_score(face: np.ndarray) -> float:
    """Return 0 (black, white or clipped) to 1.

    It is the share of the face's pixels that are not clipped, times a factor of the mean grey value: 1 within MEAN_LOW
    to MEAN_HIGH, falling to 0 at black and white.
    """
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    middle = grey[FACE_PX // 4 : -FACE_PX // 8, FACE_PX // 5 : -FACE_PX // 5]
    usable = float(((middle > DARK) & (middle < BRIGHT)).mean())
    mean = float(middle.mean())
    centred = min(1.0, mean / MEAN_LOW, (255 - mean) / (255 - MEAN_HIGH))
    return float(np.clip(usable * centred, 0, 1))


def calc_face_size_score(landmarks_xy: np.ndarray) -> float:
    """Return 1 for an eye distance of MIN_EYE_DISTANCE_PX or more, and the ratio to it below."""
    left, right = eyes_xy(landmarks_xy)
    return float(min(1.0, np.hypot(*(right - left)) / MIN_EYE_DISTANCE_PX))


def is_grey(image: np.ndarray) -> bool:
    """Return True for a picture without colour, whatever its file format."""
    small = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float32)
    return bool((small.max(axis=2) - small.min(axis=2)).mean() < MAX_GREY_SPREAD)


def has_border(image: np.ndarray) -> bool:
    """Return True if two opposite edges have a flat band that ends in a straight step, as letterboxes and scans do.

    A plain studio wall is flat too, but has no step along a whole side.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return any(_starts_with_band(lines) and _starts_with_band(lines[::-1]) for lines in (grey, grey.T))


def _starts_with_band(lines: np.ndarray) -> bool:
    """Return True if the first rows are one flat colour and the next row differs nearly everywhere."""
    deviation = np.abs(lines - np.median(lines[0])).mean(axis=1)
    flat = int(np.argmax(deviation > MAX_BORDER_DEVIATION)) if (deviation > MAX_BORDER_DEVIATION).any() else len(lines)
    if not max(2, MIN_BORDER_SHARE * len(lines)) <= flat < len(lines) // 2:
        return False
    beyond = lines[min(flat + 2, len(lines) - 1)]  # JPEG smears a step over a row or two
    return bool((np.abs(beyond - lines[flat - 1]) > MIN_BORDER_STEP).mean() > 0.6)


def measure(image: np.ndarray, landmarks_xy: np.ndarray | None) -> dict[str, Any]:
    """Return all measures of one picture as a flat dict; those of the face are None without landmarks."""
    found: dict[str, Any] = {"grey": is_grey(image), "border": has_border(image)}
    if landmarks_xy is None:
        return found | {"blur_score": None, "exposure_score": None, "face_size_score": None}
    face = align_face(image, landmarks_xy, FACE_PX)
    return found | {
        "blur_score": calc_blur_score(face),
        "exposure_score": calc_exposure_score(face),
        "face_size_score": calc_face_size_score(landmarks_xy),
    }


def odd_sizes(width_px: np.ndarray, height_px: np.ndarray, rare_share: float = 0.02) -> np.ndarray:
    """Return the pictures (N,) bool whose aspect ratio differs from that of nearly all others.

    None is marked unless one aspect ratio covers nine tenths of the set.
    """
    aspect = np.round(width_px / np.maximum(height_px, 1), 2)
    values, inverse, counts = np.unique(aspect, return_inverse=True, return_counts=True)
    if len(values) == 1 or counts.max() < 0.9 * len(aspect):
        return np.zeros(len(aspect), bool)
    return np.asarray((counts < rare_share * len(aspect) + 1)[inverse] & (counts[inverse] < counts.max()))
