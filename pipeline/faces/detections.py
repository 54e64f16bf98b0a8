"""Arrays that detectors, landmarkers and background removers exchange, checked where they are created.

Images are RGB uint8 (H, W, 3). Points are x, y in pixels of their image, with pixel centres at whole numbers. Boxes are
x0, y0, x1, y1 in the same pixels and may reach beyond the image, as detectors return them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

N_LANDMARKS = 68
N_POINTS = 5  # left eye (in the image), right eye, nose, left and right corner of the mouth


@dataclass(frozen=True)
class Detections:
    """All faces that a detector found in one image; N may be 0.

    boxes_xyxy (N, 4), scores (N,) in [0, 1] and points_xy (N, 5, 2), all float32. A detector without points sets them
    to NaN. Raises ValueError for other shapes: those are a defect of a backend, not of a user's data.
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
    def none(cls) -> Detections:
        """Return detections without any face."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, N_POINTS, 2), np.float32))


class Detector(Protocol):
    """A function from an image (H, W, 3) to its faces, in any order."""

    def __call__(self, image: np.ndarray) -> Detections: ...


class Landmarker(Protocol):
    """A function from an image (H, W, 3), a box_xyxy (4,) and five points (5, 2), if known, to (68, 2) float32."""

    def __call__(self, image: np.ndarray, box_xyxy: np.ndarray, points_xy: np.ndarray | None) -> np.ndarray: ...


class Remover(Protocol):
    """A function from an image (H, W, 3) and the face's box_xyxy (4,), if known, to alpha (H, W) float32 in [0, 1].

    1 is the person, 0 the background.
    """

    def __call__(self, image: np.ndarray, box_xyxy: np.ndarray | None) -> np.ndarray: ...
