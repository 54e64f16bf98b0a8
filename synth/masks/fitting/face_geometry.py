"""Upright geometry of a face from 68 landmarks, with the checks that refuse unusable ones.

First of the steps from landmarks to a dense, smooth map between face pixels and mask fabric: remove the roll, measure
the yaw as a continuous number, fit a patch of fabric to the upright face (a Coons patch between the top edge, the
bottom edge, the two sides and the midline), and invert it with a thin-plate spline (Bookstein 1989) for `cv2.remap`.
Fabric coordinates are ``s`` in [-1, 1] from the image's left to its right, and ``t`` in [0, 1] from the top edge to the
bottom.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import StageError

Array = NDArray[np.float64]

MIN_SCALE_PX = 40.0
"""Smallest jaw width at which a strap is one pixel wide (a strap is about 2.5 % of the face)."""
MAX_ROLL_DEG = 60.0
MAX_SIDE_RATIO = 8.0
"""Wider half of the face over the narrower one; 8 is about 50 degrees of yaw by `_yaw`, where one cheek is hidden."""
MAX_RESIDUAL_SCORE = 0.16
"""RMS distance to the mean proportions over the face scale; see `tests/synth/test_masks.py` for the spread."""
HALF_ANGLE = np.deg2rad(68.0)
"""Angle that fabric wraps around the head on each side of the midline: mask corners lie well before the ear."""

# iBUG 300-W numbering. Midline stations, from the nose bridge (v = 0) to the chin (v = 5).
MIDLINE = (27, 30, 33, 51, 57, 8)
_EYE_LEFT, _EYE_RIGHT = slice(36, 42), slice(42, 48)
# Frontal proportions in units of the jaw width, origin between the eyes: eyes, nose tip, mouth corners, chin, jaw.
_PROPORTIONS = np.array(
    [[-0.22, 0], [0.22, 0], [0, 0.30], [-0.17, 0.53], [0.17, 0.53], [0, 0.88], [-0.5, 0.05], [0.5, 0.05]]
)


@dataclass(frozen=True, eq=False)
class FaceGeometry:
    """A checked face in its upright frame: `points_xy` (68, 2) px after the roll is taken out."""

    points_xy: Array
    to_image: Array  # (2, 2) rotation: image offset = to_image @ upright offset
    centre_xy: Array  # (2,) pivot of the rotation, the same in both frames
    scale_px: float  # width of a frontal jaw
    roll_deg: float
    yaw_deg: float  # positive: the nose points to the image's right

    @cached_property
    def stations_xy(self) -> Array:
        """Points (7, 2) of the midline at v = 0 … 6."""
        pts = self.points_xy[list(MIDLINE)]
        down = np.array([0.35 * (pts[5] - pts[0])[0] / max((pts[5] - pts[0])[1], 1.0), 1.0])
        return np.vstack([pts, pts[5] + down * 0.25 * self.scale_px])

    @cached_property
    def side_visibility(self) -> Array:
        """Width (2,) of the left and right cheek over the other, at most 1; below 1 on the far side."""
        half = np.abs(self.points_xy[[3, 13], 0] - self.stations_xy[2, 0])
        return np.minimum(1.0, half / np.maximum(half[::-1], 1e-6))

    def midline(self, v: float) -> Array:
        """Return the point (2,) on the midline; v = 0 bridge, 1 tip, 2 below the nose, 3, 4 lips, 5 chin, 6 throat."""
        i = min(max(int(v), 0), 5)
        return self.stations_xy[i] + (self.stations_xy[i + 1] - self.stations_xy[i]) * (v - i)

    def jaw(self, k: float) -> Array:
        """Return the point (2,) on the jaw line; k = 0 left ear, 8 chin, 16 right ear, extrapolated beyond."""
        i = min(max(int(k), 0), 15)
        return self.points_xy[i] + (self.points_xy[i + 1] - self.points_xy[i]) * (k - i)

    @cached_property
    def _long_jaw(self) -> Array:
        """The jaw (20, 2) with one point before it and two after it, for `jaw_many`."""
        jaw = self.points_xy[:17]
        return np.vstack([2 * jaw[0] - jaw[1], jaw, 2 * jaw[16] - jaw[15], 3 * jaw[16] - 2 * jaw[15]])

    def jaw_many(self, k: Array) -> Array:
        """Return points (n, 2) on the jaw line by cubic (Catmull-Rom) interpolation, so that edges have no corners."""
        k = np.minimum(np.maximum(k, 0.0), 16.0)
        i = np.minimum(k.astype(int), 15)
        f = (k - i)[:, None]
        p0, p1, p2, p3 = (self._long_jaw[i + step] for step in range(4))
        return 0.5 * (
            2 * p1 + (p2 - p0) * f + (2 * p0 - 5 * p1 + 4 * p2 - p3) * f**2 + (3 * p1 - p0 - 3 * p2 + p3) * f**3
        )

    def to_image_xy(self, upright_xy: Array) -> Array:
        """Convert upright points (…, 2) to image pixels."""
        return (upright_xy - self.centre_xy) @ self.to_image.T + self.centre_xy


def measure_face(landmarks_xy: NDArray[np.floating], image_hw: tuple[int, int]) -> FaceGeometry:
    """Check the 68 landmarks and turn them upright. Raises StageError with a one-line reason."""
    points = np.asarray(landmarks_xy, dtype=np.float64)
    if points.shape != (68, 2):
        raise StageError(f"landmarks must have shape (68, 2). Got {points.shape} instead.")
    if not np.isfinite(points).all():
        raise StageError("landmarks must be finite. Got NaN or infinity; run landmarks again for this image.")
    eyes = points[_EYE_RIGHT].mean(0) - points[_EYE_LEFT].mean(0)
    roll = float(np.arctan2(eyes[1], eyes[0]))
    cos, sin = np.cos(roll), np.sin(roll)
    to_image = np.array([[cos, -sin], [sin, cos]])
    centre = points.mean(0)
    upright = (points - centre) @ to_image + centre
    height = upright[8, 1] - upright[27, 1]
    if height <= 0:
        raise StageError("bad geometry: the chin lies above the eyes (mirrored point order or wrong points).")
    scale = float(max(np.linalg.norm(upright[16] - upright[0]), 1.05 * height))
    _check(points, upright, scale, np.rad2deg(roll), image_hw)
    return FaceGeometry(upright, to_image, centre, scale, float(np.rad2deg(roll)), float(np.rad2deg(_yaw(upright))))


def _check(points: Array, up: Array, scale: float, roll_deg: float, image_hw: tuple[int, int]) -> None:
    height, width = image_hw
    if scale < MIN_SCALE_PX:
        raise StageError(f"face too small: {scale:.0f} px wide. At least {MIN_SCALE_PX:.0f} px is needed.")
    margin = 0.05 * scale
    low, high = points.min(0), points.max(0)
    if low.min() < -margin or high[0] > width - 1 + margin or high[1] > height - 1 + margin:
        raise StageError("face cut by the border: landmarks lie outside the image.")
    if abs(roll_deg) > MAX_ROLL_DEG:
        raise StageError(f"roll must be within {MAX_ROLL_DEG:.0f} degrees. Got {roll_deg:.0f} instead.")
    if (np.diff(up[list(MIDLINE), 1]) <= -0.02 * scale).any():
        raise StageError("bad geometry: folded midline (nose, mouth and chin are out of order).")
    ring = up[[0, 3, 5, 8, 11, 13, 16]]
    edge = np.diff(np.vstack([ring, ring[:1]]), axis=0)
    turn = edge[:, 0] * np.roll(edge[:, 1], -1) - edge[:, 1] * np.roll(edge[:, 0], -1)
    if (turn >= 0.002 * scale**2).any():
        raise StageError("bad geometry: the jaw line is not convex (folded or crossed points).")
    left, right = _half_widths(up)
    if min(left, right) <= 0 or max(left, right) > MAX_SIDE_RATIO * min(left, right):
        raise StageError("profile view: one half of the face is hidden (yaw beyond about 50 degrees).")
    score = _residual(up, scale)
    if score > MAX_RESIDUAL_SCORE:
        raise StageError(f"bad geometry: points are {score:.2f} off a face; up to {MAX_RESIDUAL_SCORE} is allowed.")


def _half_widths(up: Array) -> tuple[float, float]:
    """Return the widths of the left and right half of the face at the height of the cheeks."""
    mid = 0.5 * (up[29, 0] + up[33, 0])
    return float(mid - up[[2, 3], 0].mean()), float(up[[13, 14], 0].mean() - mid)


def _yaw(up: Array) -> float:
    """Return the yaw in radians from the ratio of the half faces, for a cylinder that shows HALF_ANGLE on each side."""
    left, right = _half_widths(up)
    ratio = (left - right) / (left + right)
    return float(np.arctan(ratio * np.sin(HALF_ANGLE) / (1 - np.cos(HALF_ANGLE))))


def _residual(up: Array, scale: float) -> float:
    """Return the RMS distance over the scale to frontal proportions after the best affine map.

    Yaw and pitch are nearly affine, so they do not count.
    """
    stations = np.stack([up[_EYE_LEFT].mean(0), up[_EYE_RIGHT].mean(0), up[30], up[48], up[54], up[8], up[0], up[16]])
    design = np.column_stack([_PROPORTIONS, np.ones(len(_PROPORTIONS))])
    coef, *_ = np.linalg.lstsq(design, stations, rcond=None)
    return float(np.sqrt(((design @ coef - stations) ** 2).sum(1).mean()) / scale)


def foreshorten(a: Array, width: Array, other: Array) -> Array:
    """Return (m, n) shares of the way from the midline to m sides for fabric at share `a` (n,) of `_yaw`'s cylinder.

    `width` and `other` (m,) are the widths in px of these halves and of the opposite halves of the patch.
    """
    ratio = np.minimum(np.maximum((other - width) / np.maximum(other + width, 1e-6), -0.75), 0.75)
    start = np.arctan(ratio * (np.sin(HALF_ANGLE) / (1 - np.cos(HALF_ANGLE))))[:, None]
    span = np.minimum(start + HALF_ANGLE, np.deg2rad(86.0)) - start  # beyond 90 degrees the fabric would turn back
    low = np.sin(start)
    return np.asarray((np.sin(span * a + start) - low) / (np.sin(span + start) - low), dtype=np.float64)
