"""68 landmarks from the detector's five points alone; see `pipeline.faces.mean_shape`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from data_manifests.errors import StageError
from pipeline.faces.mean_shape import fit_mean_shape

VERSION = "1"


def make() -> Callable[[np.ndarray, np.ndarray, np.ndarray | None], np.ndarray]:
    """Return a landmarker: image, box_xyxy (4,), points_xy (5, 2) → (68, 2) float32.

    The landmarker raises StageError without points.
    """

    def landmarks(image: np.ndarray, box_xyxy: np.ndarray, points_xy: np.ndarray | None) -> np.ndarray:
        if points_xy is None:
            raise StageError("the landmarker five_points needs a detector that returns five points, such as mtcnn.")
        return fit_mean_shape(points_xy)

    return landmarks
