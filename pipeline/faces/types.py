"""The arrays that pass between detectors, landmarkers, removers and the pure functions, checked where they are made.

Images are RGB uint8 (H, W, 3). Points are x, y in pixels of the image they belong to, pixel centres at whole numbers.
Boxes are x0, y0, x1, y1 in the same pixels and may reach beyond the picture, as detectors give them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

N_LANDMARKS = 68
N_POINTS = 5  # left eye (in the picture), right eye, nose, left and right corner of the mouth


@dataclass(frozen=True)
class Faces:
    """All faces that a detector found in one picture; N may be 0.

    boxes_xyxy (N, 4), scores (N,) in [0, 1] and points_xy (N, 5, 2), all float32. A detector without points gives
    NaN for them. Raises ValueError for other shapes: that is a defect of a backend, not of a user's data.
    """

    boxes_xyxy: np.ndarray
    scores: np.ndarray
    points_xy: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.boxes_xyxy)
        for name, shape in (("boxes_xyxy", (n, 4)), ("scores", (n,)), ("points_xy", (n, N_POINTS, 2))):
            array = getattr(self, name)
            if array.shape != shape or array.dtype != np.float32:
                raise ValueError(f"{name} must be float32 {shape}. Got {array.dtype} {array.shape} instead.")

    def __len__(self) -> int:
        return len(self.boxes_xyxy)

    @classmethod
    def none(cls) -> Faces:
        """No face."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, N_POINTS, 2), np.float32))


class Detector(Protocol):
    """Image (H, W, 3) → its faces, in any order."""

    def __call__(self, image: np.ndarray) -> Faces: ...


class Landmarker(Protocol):
    """Image (H, W, 3), box_xyxy (4,) and, if the detector gave them, five points (5, 2) → (68, 2) float32."""

    def __call__(self, image: np.ndarray, box_xyxy: np.ndarray, points_xy: np.ndarray | None) -> np.ndarray: ...


class Remover(Protocol):
    """Image (H, W, 3) and, if known, the face's box_xyxy (4,) → alpha (H, W) float32 in [0, 1], 1 is the person."""

    def __call__(self, image: np.ndarray, box_xyxy: np.ndarray | None) -> np.ndarray: ...
