"""Faces in an image: detections, the choice of one, 68 landmarks, and the embedding of a person.

`make_locator` is what stages use; detectors, landmarkers and embedders are modules in `backends`, chosen by name in
`pipeline.backends`.
"""

from pipeline.faces.detections import Detections, Detector, Landmarker, Remover
from pipeline.faces.embedder import SAME_PERSON_DISTANCE, Embedder
from pipeline.faces.face_share import FaceShare, measure_face_share, measure_table
from pipeline.faces.landmarks import MAX_LANDMARK_DISAGREEMENT, face_scale, five_points_of, landmark_disagreement
from pipeline.faces.locate import (
    DetectedFace,
    LocatedFace,
    Locator,
    LocatorSettings,
    detect_face,
    locate_with_border,
    locator_version,
    make_locator,
    place_landmarks,
    require_landmarks,
)
from pipeline.faces.mean_shape import fit_mean_shape
from pipeline.faces.selection import centre_box, select_face

__all__ = [
    "MAX_LANDMARK_DISAGREEMENT",
    "SAME_PERSON_DISTANCE",
    "DetectedFace",
    "Detections",
    "Detector",
    "Embedder",
    "FaceShare",
    "Landmarker",
    "LocatedFace",
    "Locator",
    "LocatorSettings",
    "Remover",
    "centre_box",
    "detect_face",
    "face_scale",
    "fit_mean_shape",
    "five_points_of",
    "landmark_disagreement",
    "locate_with_border",
    "locator_version",
    "make_locator",
    "measure_face_share",
    "measure_table",
    "place_landmarks",
    "require_landmarks",
    "select_face",
]
