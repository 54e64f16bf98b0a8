"""The choice of one face among the detections of an image."""

from __future__ import annotations

import numpy as np

from pipeline.faces.detections import Detections

CENTRE_BOX_SHARE = 0.5  # side of the substitute box, as a share of the image's shorter side
LARGE_FACE_SHARE = 0.5  # of the chosen face's side: smaller faces are posters and passers-by
AMBIGUOUS_SHARE = 0.8  # a second face with this share of the best merit makes the choice ambiguous


def select_face(detections: Detections, image_wh: tuple[int, int]) -> tuple[int, str]:
    """Return the index of the largest, most central, most certain face, and a remark if there was a choice.

    The merit of a face is side × centrality × score: the side of its box over the image's shorter side, and a
    centrality of 1 at the centre and 0 in a corner. Raises ValueError if there is no face.
    """
    if len(detections) == 0:
        raise ValueError("there is no face to choose from")
    low, high = detections.boxes_xyxy[:, :2].astype(float), detections.boxes_xyxy[:, 2:].astype(float)
    half = np.array(image_wh) / 2
    side = _sides(detections) / min(image_wh)
    distance = np.linalg.norm((low + high) / 2 - half, axis=1) / np.linalg.norm(half)
    merit = side * np.clip(1 - distance, 0.01, None) * detections.scores
    order = np.argsort(-merit, kind="stable")
    if len(detections) == 1:
        return int(order[0]), ""
    is_ambiguous = merit[order[1]] >= AMBIGUOUS_SHARE * merit[order[0]]
    chosen = "took one of two that are about equal" if is_ambiguous else "took the largest, most central"
    return int(order[0]), f"{len(detections)} faces, {chosen}"


def count_large_faces(detections: Detections, index: int) -> int:
    """Return how many faces are at least half as large as the chosen one, itself included."""
    side = _sides(detections)
    return int((side >= LARGE_FACE_SHARE * side[index]).sum())


def centre_box(image_wh: tuple[int, int]) -> np.ndarray:
    """Return the box (4,) float32 to use where no face was found: a square in the middle of the image."""
    half = np.array(image_wh, np.float32) / 2
    reach = CENTRE_BOX_SHARE / 2 * min(image_wh)
    return np.concatenate([half - reach, half + reach]).astype(np.float32)


def _sides(detections: Detections) -> np.ndarray:
    """Return the geometric mean of each box's sides (N,), in pixels."""
    boxes = detections.boxes_xyxy.astype(float)
    return np.sqrt(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1))
