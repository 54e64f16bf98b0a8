"""Ageing by a user's own network: alignment of its square crop, and blending of its output into the photo.

The network's input is a square crop with level eyes, as networks trained on FFHQ expect (such as SAM, Alaluf et al.
2021, "Only a Matter of Style"), and a target age; its output is the aged crop.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import BackendError, StageError
from synth.ages.frame import F32, F64, forehead, invert_affine
from synth.masks import measure_face

U8 = NDArray[np.uint8]

Ager = Callable[[U8, float], U8]  # square crop (S, S, 3) uint8 RGB, target age in years → the same, aged

_FEATHER = 0.12  # of the face's height; wide, because a network changes more than texture


def require_file(path: str) -> Path:
    """Return the path of the network. Raises BackendError if the file is missing: nothing is downloaded."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise BackendError(
            f"ageing network {path!r} does not exist: put the exported file there, or choose "
            "ager=prototypes, which needs none."
        )
    return file


def to_planes(crop: U8, low: float, high: float) -> F32:
    """Convert (S, S, 3) uint8 to (1, 3, S, S) float32 in [low, high]."""
    planes = crop.astype(np.float32).transpose(2, 0, 1)[None] / 255 * (high - low) + low
    return np.ascontiguousarray(planes, np.float32)


def from_planes(planes: np.ndarray, low: float, high: float) -> U8:
    """Convert (1, 3, S, S) in [low, high] to (S, S, 3) uint8. Raises StageError for another shape or NaN."""
    if planes.ndim != 4 or planes.shape[:2] != (1, 3):
        raise StageError(f"the ageing network must return (1, 3, S, S). Got {planes.shape} instead.")
    if not np.isfinite(planes).all():
        raise StageError("the ageing network must return finite numbers. Got NaN or infinity instead.")
    levels = (planes[0].transpose(1, 2, 0) - low) / (high - low) * 255
    return np.rint(np.clip(levels, 0, 255)).astype(np.uint8)


def ffhq_square(landmarks_xy: NDArray[np.floating]) -> F64:
    """Return the corners (4, 2) of the crop, px: top left, top right, bottom right, bottom left.

    The square of Karras et al. (2019, FFHQ): its axis runs from the eyes to the mouth, its half side is the larger of
    twice the distance of the eyes and 1.8 times that from eyes to mouth, its centre lies a tenth of that distance below
    the eyes.
    """
    points = np.asarray(landmarks_xy, np.float64)
    left, right = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    eyes, mouth = (left + right) / 2, (points[48] + points[54]) / 2
    axis = mouth - eyes
    across = (right - left) + np.array([axis[1], -axis[0]])  # both estimate the direction across the face
    across *= max(2.0 * np.hypot(*(right - left)), 1.8 * np.hypot(*axis)) / np.hypot(*across)
    down = np.array([-across[1], across[0]])
    centre = eyes + 0.1 * axis
    return np.array([centre - across - down, centre + across - down, centre + across + down, centre - across + down])


def age_by_network(image: U8, landmarks_xy: NDArray[np.floating], to_age: float, ager: Ager, size_px: int) -> U8:
    """Age the face of an image (H, W, 3) uint8 RGB by `ager`, whose input is a square crop of `size_px`.

    The face from chin to hairline and a soft rim around it change; other pixels keep their values. Where the crop
    reaches beyond the image, the image's edge is repeated. Raises StageError for a face without usable geometry and for
    a network that returns another shape.
    """
    measure_face(landmarks_xy, (image.shape[0], image.shape[1]))
    points = np.asarray(landmarks_xy, np.float64)
    corners = ffhq_square(points)
    last = size_px - 1
    square = np.array([[0, 0], [last, 0], [last, last]], np.float32)
    to_crop = np.asarray(cv2.getAffineTransform(corners[:3].astype(np.float32), square), np.float64)
    area = cv2.INTER_AREA if np.linalg.det(to_crop[:, :2]) < 0.25 else cv2.INTER_LINEAR
    crop = cv2.warpAffine(image, to_crop, (size_px, size_px), flags=area, borderMode=cv2.BORDER_REPLICATE)
    aged = ager(np.asarray(crop, np.uint8), to_age)
    if aged.shape != crop.shape or aged.dtype != np.uint8:
        raise StageError(f"the ageing network must return {crop.shape} uint8. Got {aged.shape} {aged.dtype} instead.")
    return _paste_back(image, np.asarray(crop, np.uint8), aged, invert_affine(to_crop), points)


def _paste_back(image: U8, crop: U8, aged: U8, to_image: F64, points: F64) -> U8:
    """Add the network's change: the difference rather than the crop, so that the photo keeps its sharpness."""
    weight = _soft_outline(points, image.shape)
    rows, columns = np.flatnonzero(weight.any(axis=1)), np.flatnonzero(weight.any(axis=0))
    y0, y1, x0, x1 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    change = aged.astype(np.float32) - crop.astype(np.float32)
    shifted = to_image - np.array([[0, 0, x0], [0, 0, y0]])
    added = cv2.warpAffine(change, shifted, (int(x1 - x0), int(y1 - y0)), flags=cv2.INTER_LINEAR)
    out = image.copy()
    blended = image[y0:y1, x0:x1] + added * weight[y0:y1, x0:x1, None]
    out[y0:y1, x0:x1] = np.rint(np.clip(blended, 0, 255))
    return out


def _soft_outline(points: F64, shape: tuple[int, ...]) -> F32:
    """Return (H, W), 1 on the face, 0 beyond a rim of _FEATHER outside jaw line and hairline."""
    ring = np.vstack([points[:17], forehead(points)[::-1]])
    rim_px = max(_FEATHER * float(np.ptp(ring[:, 1])), 1.0)
    outside = np.full(shape[:2], 1, np.uint8)
    cv2.fillPoly(outside, [np.rint(ring).astype(np.int32)], 0)
    share = np.clip(1 - cv2.distanceTransform(outside, cv2.DIST_L2, 5) / rim_px, 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)
