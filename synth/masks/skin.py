"""Where the photo shows this person's skin: straps go behind what is not, hair above all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.floating]  # float32 throughout: half the memory traffic of float64
Array = NDArray[np.float64]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_JAW = np.array([[1, 2, 3, 4], [15, 14, 13, 12]])
_WING = np.array([31, 35])  # of the nose, on the same sides
_INWARDS = np.array([0.25, 0.4, 0.55, 0.7, 0.85])[:, None]  # shares of the way from the jaw to the wing: the cheeks
# One spread of lightness below and above what cheeks show, and of the two log colour ratios.
_DARKER, _LIGHTER, _COLOUR = 0.46, 0.45, 0.15
_BEARD = 0.40


def skin_likeness(cells: F32, points_xy: Array) -> F32:
    """(h, w) in [0, 1]: how much each cell looks like some part of the cheeks.

    `cells` (h, w, 3) float32 RGB means, `points_xy` (68, 2) landmarks in cells. Each cheek gives its dark and its light
    half: their light can have another strength and colour.
    """
    log = np.log(cells + np.float32(6))
    look = np.stack([log @ _LUMA, log[..., 0] - log[..., 1], log[..., 1] - log[..., 2]])
    nearest = np.full(look.shape[1:], 99.0, np.float32)
    for jaw, wing in zip(_JAW, _WING, strict=True):
        cheek = (points_xy[jaw] + (points_xy[wing] - points_xy[jaw]) * _INWARDS[:, None]).reshape(-1, 2)
        found = look[:, *_cells_at(cheek, look.shape[1:])]
        found = found[:, np.argsort(found[0], kind="stable")]
        for half in np.array_split(found, 2, axis=1):
            light, red, yellow = np.median(half, axis=1)
            off = look[0] - light
            far = np.square(np.where(off < 0, off / np.float32(_DARKER), off / np.float32(_LIGHTER)))
            far += np.square((look[1] - red) / np.float32(_COLOUR)) + np.square(
                (look[2] - yellow) / np.float32(_COLOUR)
            )
            np.minimum(nearest, far, out=nearest)
    return np.asarray(np.exp(-0.5 * nearest), dtype=np.float32)


def is_bearded(likeness: F32, points_xy: Array) -> bool:
    """Whether chin and lower cheeks look unlike the cheeks: a strap lies on a beard, not behind it."""
    chin = np.vstack([0.35 * points_xy[[48, 59, 57, 55, 54]] + 0.65 * points_xy[[5, 7, 8, 9, 11]], points_xy[[6, 10]]])
    return bool(likeness[_cells_at(chin, likeness.shape)].mean() < _BEARD)


def _cells_at(points_xy: Array, shape: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of the cell of each point, the nearest one inside the picture."""
    x = np.clip(np.rint(points_xy[:, 0]), 0, shape[1] - 1).astype(np.intp)
    y = np.clip(np.rint(points_xy[:, 1]), 0, shape[0] - 1).astype(np.intp)
    return y, x
