"""From a plain photo to the landmarks of the face that gets the mask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data_manifests.errors import StageError
from pipeline.backends import load_backend
from pipeline.faces.choose import SLIPPED, choose_face, disagreement

DETECTOR, LANDMARKER = "mtcnn", "dlib68"


@dataclass(frozen=True)
class Located:
    """The chosen face: `landmarks_xy` (68, 2) float32 px; how many faces there are; a remark if there was a choice."""

    landmarks_xy: np.ndarray
    faces: int
    remark: str


def locator_version() -> str:
    """Of detector and landmarker, for the key of a result. Raises BackendError if a model file is absent."""
    versions = []
    for kind, name in (("detector", DETECTOR), ("landmarker", LANDMARKER)):
        backend = load_backend(kind, name)
        backend.check()
        versions.append(backend.version)
    return ";".join(versions)


def make_locator() -> Callable[[np.ndarray], Located]:
    """Load detector and landmarker; the function raises StageError for a photo without a usable face."""
    detect = load_backend("detector", DETECTOR).make()
    place = load_backend("landmarker", LANDMARKER).make()

    def locate(picture: np.ndarray) -> Located:
        faces = detect(picture)
        if len(faces) == 0:
            raise StageError("no face found.")
        index, remark = choose_face(faces, (picture.shape[1], picture.shape[0]))
        points = faces.points_xy[index]
        landmarks = place(picture, faces.boxes_xyxy[index], points)
        if disagreement(landmarks, points) > SLIPPED:
            raise StageError("landmarks slipped off the face: a hidden, blurred or strongly turned one.")
        return Located(landmarks, len(faces), remark)

    return locate
