"""Measures of a picture, each a small function: image in, numbers out.

Own functions rather than cleanvision's, because that looks at whole pictures by file name, and what matters here is
the face: a sharp wall behind a blurred face is not a sharp photo.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from audit.features.aligned_face import aligned_chip, eyes_xy

CHIP_PX = 64
# log10 of the Laplacian's variance on a 64-px chip: 2.9 to 3.4 for sharp portraits, 2.1 after a Gaussian blur of 4 % of
# the eye distance (lashes gone), 1.7 at 6 % (pupils smeared), 1.2 at 10 % (beyond use); medians of 52 portraits.
SHARPNESS_RANGE = (1.0, 3.0)
DARK, BRIGHT = 12, 243  # grey values at which a pixel tells nothing
MEAN_LOW, MEAN_HIGH = 45, 210  # a face's mean grey outside of it is too dark or too bright
SMALL_EYES_PX = 24.0  # eye distance of a face about 60 px wide, below which landmarks and labels become guesses
GREY_LEVEL = 2.5  # mean distance between the channels of a picture without colour, JPEG noise included
BAND_FLAT, BAND_EDGE = 2.0, 12.0  # a border is flat to this deviation and ends in a step of this many levels
BAND_SHARE = 0.015  # the thinnest border, as a share of the side

# Below these a photo is worth a look; they are what `audit_reason` speaks of.
LIMITS = {"blur_score": 0.35, "exposure_score": 0.5, "face_size_score": 0.99}


def calc_blur_score(chip: np.ndarray) -> float:
    """0 (no detail at all) to 1 (sharp): the log variance of the Laplacian of a face chip, over SHARPNESS_RANGE."""
    grey = cv2.cvtColor(chip, cv2.COLOR_RGB2GRAY)
    variance = float(cv2.Laplacian(grey, cv2.CV_32F).var())
    low, high = SHARPNESS_RANGE
    return float(np.clip((np.log10(variance + 1e-3) - low) / (high - low), 0, 1))


def calc_exposure_score(chip: np.ndarray) -> float:
    """0 (black, white or clipped) to 1: the share of the face's pixels that are neither, times how far its mean lies
    inside MEAN_LOW … MEAN_HIGH (1 within, falling to 0 at black and white)."""
    grey = cv2.cvtColor(chip, cv2.COLOR_RGB2GRAY)
    middle = grey[CHIP_PX // 4 : -CHIP_PX // 8, CHIP_PX // 5 : -CHIP_PX // 5]
    usable = float(((middle > DARK) & (middle < BRIGHT)).mean())
    mean = float(middle.mean())
    centred = min(1.0, mean / MEAN_LOW, (255 - mean) / (255 - MEAN_HIGH))
    return float(np.clip(usable * centred, 0, 1))


def calc_face_size_score(landmarks_xy: np.ndarray) -> float:
    """1 for an eye distance of SMALL_EYES_PX or more, falling to 0 with it."""
    left, right = eyes_xy(landmarks_xy)
    return float(min(1.0, np.hypot(*(right - left)) / SMALL_EYES_PX))


def is_grey(image: np.ndarray) -> bool:
    """True for a picture without colour, whatever its file format."""
    small = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float32)
    return bool((small.max(axis=2) - small.min(axis=2)).mean() < GREY_LEVEL)


def has_border(image: np.ndarray) -> bool:
    """True if two opposite edges carry a flat band that ends in one straight step, as letterboxes and scans do.

    A plain studio wall is flat too, but does not end in a step along a whole side.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return any(_band(lines) and _band(lines[::-1]) for lines in (grey, grey.T))


def _band(lines: np.ndarray) -> bool:
    """Whether the first rows are one flat colour and the next row is another nearly everywhere."""
    deviation = np.abs(lines - np.median(lines[0])).mean(axis=1)
    flat = int(np.argmax(deviation > BAND_FLAT)) if (deviation > BAND_FLAT).any() else len(lines)
    if not max(2, BAND_SHARE * len(lines)) <= flat < len(lines) // 2:
        return False
    beyond = lines[min(flat + 2, len(lines) - 1)]  # JPEG smears a step over a row or two
    return bool((np.abs(beyond - lines[flat - 1]) > BAND_EDGE).mean() > 0.6)


def measure(image: np.ndarray, landmarks_xy: np.ndarray | None) -> dict[str, Any]:
    """All measures of one picture as a flat dict; those of the face are None where there is none."""
    found: dict[str, Any] = {"grey": is_grey(image), "border": has_border(image)}
    if landmarks_xy is None:
        return found | {"blur_score": None, "exposure_score": None, "face_size_score": None}
    chip = aligned_chip(image, landmarks_xy, CHIP_PX)
    return found | {
        "blur_score": calc_blur_score(chip),
        "exposure_score": calc_exposure_score(chip),
        "face_size_score": calc_face_size_score(landmarks_xy),
    }


def odd_sizes(width_px: np.ndarray, height_px: np.ndarray, rare_share: float = 0.02) -> np.ndarray:
    """True where a picture's shape is odd: another aspect than nearly all others (N,) bool.

    Only where one aspect holds nine tenths of the set; a set of many aspects has no odd one.
    """
    aspect = np.round(width_px / np.maximum(height_px, 1), 2)
    values, inverse, counts = np.unique(aspect, return_inverse=True, return_counts=True)
    if len(values) == 1 or counts.max() < 0.9 * len(aspect):
        return np.zeros(len(aspect), bool)
    return np.asarray((counts < rare_share * len(aspect) + 1)[inverse] & (counts[inverse] < counts.max()))
