"""Likeness of image cells to this person's skin: straps run behind everything else, above all hair."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.floating]  # float32 throughout: half the memory traffic of float64
Array = NDArray[np.float64]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_JAW = np.array([[1, 2, 3, 4], [15, 14, 13, 12]])
_WING = np.array([31, 35])  # of the nose, on the same sides
_INWARDS = np.array([0.25, 0.4, 0.55, 0.7, 0.85])[:, None, None]  # shares of the way from jaw to wing: the cheeks
# Standard deviations of lightness below and above that of the cheeks, and of the two log colour ratios.
_DARKER, _LIGHTER, _COLOUR = 0.46, 0.45, 0.15
_BEARD = 0.40


def skin_likeness(cells: F32, points_xy: Array) -> F32:
    """Return (h, w) in [0, 1]: the likeness of each cell to some part of the cheeks.

    `cells` (h, w, 3) float32 RGB means, `points_xy` (68, 2) landmarks in cells. The dark and the light half of each
    cheek are compared separately, because their light can differ in strength and colour.
    """
    log = np.log(cells + np.float32(6))
    values = np.stack([log @ _LUMA, log[..., 0] - log[..., 1], log[..., 1] - log[..., 2]])
    cheeks = points_xy[_JAW] + (points_xy[_WING][:, None] - points_xy[_JAW]) * _INWARDS[:, None]  # (5, 2, 4, 2)
    y, x = _cells_at(cheeks.swapaxes(0, 1).reshape(-1, 2), values.shape[1:])
    found = values[:, y, x].reshape(3, 2, -1)
    found = np.take_along_axis(found, np.argsort(found[:1], axis=2, kind="stable"), axis=2)
    halves = np.sort(found.reshape(3, 4, -1), axis=2)
    light, red, yellow = halves[:, :, halves.shape[2] // 2, None, None]  # the median of each half, (4, 1, 1)
    off = values[0] - light
    far = np.square(np.where(off < 0, off / np.float32(_DARKER), off / np.float32(_LIGHTER)))
    far += np.square((values[1] - red) / np.float32(_COLOUR)) + np.square((values[2] - yellow) / np.float32(_COLOUR))
    return np.asarray(np.exp(-0.5 * far.min(0)), dtype=np.float32)


def is_bearded(likeness: F32, points_xy: Array) -> bool:
    """Return whether chin and lower cheeks are unlike the cheeks: a strap lies on a beard, not behind it."""
    chin = np.vstack([0.35 * points_xy[[48, 59, 57, 55, 54]] + 0.65 * points_xy[[5, 7, 8, 9, 11]], points_xy[[6, 10]]])
    return bool(likeness[_cells_at(chin, likeness.shape)].mean() < _BEARD)


def _cells_at(points_xy: Array, shape: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return row and column of the cell of each point, the nearest one inside the image."""
    x = np.clip(np.rint(points_xy[:, 0]), 0, shape[1] - 1).astype(np.intp)
    y = np.clip(np.rint(points_xy[:, 1]), 0, shape[0] - 1).astype(np.intp)
    return y, x
