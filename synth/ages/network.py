"""A user's own ageing network: the face cut out and turned as the network wants it, its answer put back.

The network sees a square crop, eyes level, as FFHQ-trained networks (SAM, Alaluf et al. 2021, "Only a Matter of Style",
and its like) expect: image and target age → image. Alignment, sharp and soft borders and the way back are done here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import BackendError, StageError
from synth.ages.frame import F32, F64, forehead, invert
from synth.masks import read_face

U8 = NDArray[np.uint8]

Ager = Callable[[U8, float], U8]  # square crop (S, S, 3) uint8 RGB, target age in years → the same, aged

_FEATHER = 0.12  # of the face's height: a network moves more than texture, so the border must be wide


def require_file(path: str) -> Path:
    """The network's file. Raises BackendError if it is absent: nothing is downloaded."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise BackendError(
            f"ageing network {path!r} does not exist: put the exported file there, or choose "
            "ager=prototypes, which needs none."
        )
    return file


def to_planes(crop: U8, low: float, high: float) -> F32:
    """(S, S, 3) uint8 → (1, 3, S, S) float32 in [low, high]."""
    planes = crop.astype(np.float32).transpose(2, 0, 1)[None] / 255 * (high - low) + low
    return np.ascontiguousarray(planes, np.float32)


def from_planes(planes: np.ndarray, low: float, high: float) -> U8:
    """(1, 3, S, S) in [low, high] → (S, S, 3) uint8. Raises StageError for another shape or no numbers."""
    if planes.ndim != 4 or planes.shape[:2] != (1, 3):
        raise StageError(f"the ageing network must answer with (1, 3, S, S). Got {planes.shape} instead.")
    if not np.isfinite(planes).all():
        raise StageError("the ageing network answered with numbers that are not finite.")
    levels = (planes[0].transpose(1, 2, 0) - low) / (high - low) * 255
    return np.rint(np.clip(levels, 0, 255)).astype(np.uint8)


def ffhq_square(landmarks_xy: NDArray[np.floating]) -> F64:
    """(4, 2) corners of the crop, px: top left, top right, bottom right, bottom left.

    The square of Karras et al. (2019, FFHQ): its axis runs from the eyes to the mouth, its half side is the larger of
    twice the distance of the eyes and 1.8 times that from eyes to mouth, its centre lies a tenth of that distance below
    the eyes.
    """
    points = np.asarray(landmarks_xy, np.float64)
    left, right = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    eyes, mouth = (left + right) / 2, (points[48] + points[54]) / 2
    axis = mouth - eyes
    across = (right - left) + np.array([axis[1], -axis[0]])  # both say which way the face's side is
    across *= max(2.0 * np.hypot(*(right - left)), 1.8 * np.hypot(*axis)) / np.hypot(*across)
    down = np.array([-across[1], across[0]])
    centre = eyes + 0.1 * axis
    return np.array([centre - across - down, centre + across - down, centre + across + down, centre - across + down])


def age_by_network(image: U8, landmarks_xy: NDArray[np.floating], to_age: float, ager: Ager, size_px: int) -> U8:
    """The picture (H, W, 3) uint8 RGB with its face aged by `ager`, which sees a crop of `size_px` square.

    What changes is the face from chin to hairline and a soft rim around it; pixels further away stay byte for byte.
    Where the crop reaches beyond the picture, the picture's edge is repeated. Raises StageError for a face without
    usable geometry and for a network that answers with another shape.
    """
    read_face(landmarks_xy, (image.shape[0], image.shape[1]))
    points = np.asarray(landmarks_xy, np.float64)
    corners = ffhq_square(points)
    last = size_px - 1
    square = np.array([[0, 0], [last, 0], [last, last]], np.float32)
    to_crop = np.asarray(cv2.getAffineTransform(corners[:3].astype(np.float32), square), np.float64)
    area = cv2.INTER_AREA if np.linalg.det(to_crop[:, :2]) < 0.25 else cv2.INTER_LINEAR
    crop = cv2.warpAffine(image, to_crop, (size_px, size_px), flags=area, borderMode=cv2.BORDER_REPLICATE)
    aged = ager(np.asarray(crop, np.uint8), to_age)
    if aged.shape != crop.shape or aged.dtype != np.uint8:
        raise StageError(
            f"the ageing network must answer with {crop.shape} uint8. Got {aged.shape} {aged.dtype} instead."
        )
    return _pasted(image, np.asarray(crop, np.uint8), aged, invert(to_crop), points)


def _pasted(image: U8, crop: U8, aged: U8, to_image: F64, points: F64) -> U8:
    """Add what the network changed. The difference, not the crop, so that the photo keeps its own sharpness."""
    weight = _soft_outline(points, image.shape)
    rows, columns = np.flatnonzero(weight.any(axis=1)), np.flatnonzero(weight.any(axis=0))
    y0, y1, x0, x1 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    change = aged.astype(np.float32) - crop.astype(np.float32)
    shifted = to_image - np.array([[0, 0, x0], [0, 0, y0]])
    added = cv2.warpAffine(change, shifted, (int(x1 - x0), int(y1 - y0)), flags=cv2.INTER_LINEAR)
    out = image.copy()
    patch = image[y0:y1, x0:x1] + added * weight[y0:y1, x0:x1, None]
    out[y0:y1, x0:x1] = np.rint(np.clip(patch, 0, 255))
    return out


def _soft_outline(points: F64, shape: tuple[int, ...]) -> F32:
    """(H, W) 1 on the face, 0 beyond a rim of _FEATHER outside of jaw line and hairline."""
    ring = np.vstack([points[:17], forehead(points)[::-1]])
    rim_px = max(_FEATHER * float(np.ptp(ring[:, 1])), 1.0)
    outside = np.full(shape[:2], 1, np.uint8)
    cv2.fillPoly(outside, [np.rint(ring).astype(np.int32)], 0)
    share = np.clip(1 - cv2.distanceTransform(outside, cv2.DIST_L2, 5) / rim_px, 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)
