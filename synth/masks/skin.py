"""Where the photo shows this person's skin: straps go behind what is not, hair above all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.floating]  # float32 throughout: half the memory traffic of float64
Array = NDArray[np.float64]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# Cheeks: shares of the way from jaw points to the wing of the nose on the same side.
_INWARDS = np.array([0.35, 0.5, 0.65, 0.8])[:, None]
# One spread of darker, of lighter skin than the cheek's, and of its two log colour ratios: shade under a jaw is dark.
_DARKER, _LIGHTER, _COLOUR = 0.55, 0.50, 0.15
_BEARD = 0.40


def skin_likeness(cells: F32, points_xy: Array) -> F32:
    """(h, w) in [0, 1]: how much each cell looks like the cheek on its side of the face.

    `cells` (h, w, 3) float32 RGB means, `points_xy` (68, 2) landmarks in cells.
    """
    log = np.log(cells + np.float32(6))
    light, red, yellow = log @ _LUMA, log[..., 0] - log[..., 1], log[..., 1] - log[..., 2]
    sides = [np.vstack([points_xy[k] + (points_xy[wing] - points_xy[k]) * _INWARDS for k in jaw])
             for jaw, wing in (((1, 2, 3), 31), ((15, 14, 13), 35))]  # fmt: skip
    at = [_cells_at(points, light.shape) for points in sides]
    left, right = (float(np.median(light[place])) for place in at)
    x_left, x_right = (float(points[:, 0].mean()) for points in sides)
    share = (np.arange(light.shape[1], dtype=np.float32) - x_left) / max(x_right - x_left, 1.0)
    # Each side of the face has its own light; beyond the cheeks it falls off no further.
    here = left + (right - left) * np.clip(share, 0, 1).astype(np.float32)
    both = tuple(np.concatenate(parts) for parts in zip(*at, strict=True))
    off = light - here
    far = np.square(np.where(off < 0, off / np.float32(_DARKER), off / np.float32(_LIGHTER)))
    for ratio in (red, yellow):
        far += np.square((ratio - np.float32(np.median(ratio[both]))) / np.float32(_COLOUR))
    return np.asarray(np.exp(-0.5 * far), dtype=np.float32)


def is_bearded(likeness: F32, points_xy: Array) -> bool:
    """Whether chin and lower cheeks look unlike the cheeks: a strap lies on a beard, not behind it."""
    chin = np.vstack([0.35 * points_xy[[48, 59, 57, 55, 54]] + 0.65 * points_xy[[5, 7, 8, 9, 11]], points_xy[[6, 10]]])
    return bool(likeness[_cells_at(chin, likeness.shape)].mean() < _BEARD)


def _cells_at(points_xy: Array, shape: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of the cell of each point, the nearest one inside the picture."""
    x = np.clip(np.rint(points_xy[:, 0]), 0, shape[1] - 1).astype(np.intp)
    y = np.clip(np.rint(points_xy[:, 1]), 0, shape[0] - 1).astype(np.intp)
    return y, x
