"""The face, upright and at a fixed size: the input of the quality measures and of the ONNX and timm networks."""

from __future__ import annotations

import cv2
import numpy as np

EYES_SHARE_XY = ((0.33, 0.36), (0.67, 0.36))  # centres of the eyes in the aligned face, as shares of its size
_LEFT, _RIGHT = slice(36, 42), slice(42, 48)  # eyes in the 68 points, left in the picture first


def eyes_xy(landmarks_xy: np.ndarray) -> np.ndarray:
    """Return the centres of the eyes (2, 2), left in the picture first."""
    return np.stack([landmarks_xy[_LEFT].mean(axis=0), landmarks_xy[_RIGHT].mean(axis=0)])


def align_face(image: np.ndarray, landmarks_xy: np.ndarray, size_px: int) -> np.ndarray:
    """Return the face (size_px, size_px, 3) uint8, rotated and scaled to put the eyes at EYES_SHARE_XY.

    Pixels outside the picture repeat its edge. Large faces are averaged down, not sampled.
    """
    source, target = eyes_xy(landmarks_xy).astype(float), np.array(EYES_SHARE_XY) * size_px
    across, wanted = source[1] - source[0], target[1] - target[0]
    length = max(float(np.hypot(*across)), 1.0)
    zoom = float(np.hypot(*wanted)) / length
    shrink = min(1.0, 2 * zoom)  # first to twice the size by area, then the rotation: no aliasing
    if shrink < 1:
        size = max(1, round(image.shape[1] * shrink)), max(1, round(image.shape[0] * shrink))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        source = source * shrink
    cos, sin = across / length * (float(np.hypot(*wanted)) / (length * shrink))  # rotation times remaining zoom
    rotation = np.array([[cos, sin], [-sin, cos]])
    matrix = np.column_stack([rotation, target.mean(axis=0) - rotation @ source.mean(axis=0)])
    return cv2.warpAffine(image, matrix, (size_px, size_px), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def lower_half(face: np.ndarray) -> np.ndarray:
    """Return an aligned face from the middle of the nose to below the chin, scaled to the size of the whole."""
    size = face.shape[0]
    return cv2.resize(face[size // 2 :], (size, size), interpolation=cv2.INTER_LINEAR)
