"""The geometry of a crop: the window in the image, and the transform of every point into the crop.

A transform is a (2, 3) float64 matrix from pixels of the image to pixels of the crop; pixel centres are at whole
numbers in both. It is a rotation, a uniform scale and a translation, so it has an inverse.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np

BORDERS = {
    "replicate": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT_101,
    "grey": cv2.BORDER_CONSTANT,
    "black": cv2.BORDER_CONSTANT,
}
_COLOURS = {"grey": (127, 127, 127)}  # of a constant border; black for the others


def roll_of(points_xy: np.ndarray) -> float:
    """Return the roll of the head in radians from five points (5, 2): the angle of the line through the eyes."""
    across = points_xy[1].astype(float) - points_xy[0]
    return math.atan2(across[1], across[0])


def crop_transform(
    box_xyxy: np.ndarray, margin: float, size_wh: tuple[int, int] | None = None, roll: float = 0.0
) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the transform of a crop around a face and the crop's size (width, height) in pixels.

    The window is the smallest one with the aspect ratio of `size_wh` (a square without it) that contains the box and,
    on every side, `margin` times the box's longer side. Without `size_wh` the scale is 1 and, without roll, the shift
    is by whole pixels. `roll` (radians) rotates the image so that the eyes are level.
    """
    low, high = np.array(box_xyxy[:2], float), np.array(box_xyxy[2:], float)
    needed = (high - low) + 2 * margin * (high - low).max()
    if size_wh is None:
        side = max(1, math.ceil(float(needed.max())))
        size_wh, scale = (side, side), 1.0
    else:
        scale = float((np.array(size_wh) / needed).min())
    cos, sin = math.cos(roll), math.sin(roll)
    turn = scale * np.array([[cos, sin], [-sin, cos]])
    shift = (np.array(size_wh) - 1) / 2 - turn @ ((low + high) / 2)
    if scale == 1.0 and roll == 0.0:
        shift = np.round(shift)
    return np.column_stack([turn, shift]), size_wh


def warp(image: np.ndarray, transform: np.ndarray, size_wh: tuple[int, int], border: str) -> np.ndarray:
    """Return the image warped by a transform. `border`, a key of BORDERS, fills the area beyond the image.

    A shift by whole pixels copies them. For a reduction, the image is first halved (means of 2×2 pixels) until bilinear
    sampling skips no pixel.
    """
    while np.hypot(*transform[:, 0]) < 0.5 and min(image.shape[:2]) > 1:
        half_wh = image.shape[1] // 2, image.shape[0] // 2
        image = cv2.resize(image[: half_wh[1] * 2, : half_wh[0] * 2], half_wh, interpolation=cv2.INTER_AREA)
        transform = compose(transform, np.array([[2, 0, 0.5], [0, 2, 0.5]]))
    return cv2.warpAffine(
        image,
        transform,
        size_wh,
        flags=cv2.INTER_LINEAR,
        borderMode=BORDERS[border],
        borderValue=_COLOURS.get(border, 0),
    )


def photo_corners(image_wh: tuple[int, int], transform: np.ndarray) -> np.ndarray:
    """Return the corners of an image (4, 2) in the crop's pixels, clockwise from the upper left one."""
    right, bottom = image_wh[0] - 0.5, image_wh[1] - 0.5
    return move_points(np.array([[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]]), transform)


def outside_share(corners_xy: np.ndarray, size_wh: tuple[int, int]) -> float:
    """Return the share of a crop's area beyond its photo, whose corners (4, 2) are given in the crop's pixels."""
    frame = photo_corners(size_wh, np.eye(2, 3))
    common, _ = cv2.intersectConvexConvex(frame, corners_xy.astype(np.float32))
    return float(np.clip(1 - common / (size_wh[0] * size_wh[1]), 0, 1))


def compose(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the transform that applies `first`, then `second`."""
    return second @ np.vstack([first, [0, 0, 1]])


def invert(transform: np.ndarray) -> np.ndarray:
    """Return the inverse transform."""
    return np.linalg.inv(np.vstack([transform, [0, 0, 1]]))[:2]


def move_points(points_xy: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Return points (N, 2) in the crop's pixels, float32."""
    return (points_xy @ transform[:, :2].T + transform[:, 2]).astype(np.float32)


def move_box(box_xyxy: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Return the upright box (4,) float32 with the moved centre and the scaled sides; a roll does not enlarge it."""
    low, high = np.array(box_xyxy[:2], float), np.array(box_xyxy[2:], float)
    centre = move_points(((low + high) / 2)[None], transform)[0]
    reach = (high - low) / 2 * np.hypot(*transform[:, 0])
    return np.concatenate([centre - reach, centre + reach]).astype(np.float32)


def points_of(flat: Any) -> np.ndarray | None:
    """Return the coordinates of a manifest row as points (N, 2) float32, or None where there are none."""
    return None if flat is None else np.array(flat, np.float32).reshape(-1, 2)
