"""The one way to locate the face in an image: detector, choice of the face, landmarks, disagreement check.

`detect_face` and `place_landmarks` are the two halves, for a pipeline that keeps the result of each; `make_locator`
loads both backends and runs them together.

In pictures cut close to the face the networks miss the face, or place points badly, because they were trained on faces
with surroundings. Only then a border is added and the search repeated: of 2,772 heads cut to 200 px with 0 to 10 % of
margin, bare and masked, 11 were missed and 26 had landmarks off the face; 2 and 6 are left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np

from data_manifests.errors import StageError
from pipeline.backends import load_backend
from pipeline.faces.detections import Detector, Landmarker
from pipeline.faces.landmarks import MAX_LANDMARK_DISAGREEMENT, landmark_disagreement
from pipeline.faces.selection import count_large_faces, select_face

ADDED_BORDERS = ((0.15, cv2.BORDER_REPLICATE), (0.5, cv2.BORDER_CONSTANT))  # share of the shorter side, and its filling
GREY = (127, 127, 127)
BORDER_REMARK = "found with a border added to the picture"


@dataclass(frozen=True)
class DetectedFace:
    """The chosen face: `box_xyxy` (4,), `points_xy` (5, 2) or None, `score` in [0, 1].

    `n_faces` counts all detections, `n_large_faces` those at least half as large; `remark` describes an ambiguous
    choice.
    """

    box_xyxy: np.ndarray
    points_xy: np.ndarray | None
    score: float
    n_faces: int
    n_large_faces: int
    remark: str


@dataclass(frozen=True)
class LocatedFace:
    """A detected face with its `landmarks_xy` (68, 2) float32.

    `is_consistent` is False where the landmarks disagree with the detector's five points: they lie off the face.
    """

    face: DetectedFace
    landmarks_xy: np.ndarray
    is_consistent: bool


Locator = Callable[[np.ndarray], LocatedFace | None]


@dataclass(frozen=True)
class LocatorSettings:
    """Names and parameters of the two backends; docs/reference/backends.md lists them."""

    detector: str = "mtcnn"
    landmarker: str = "dlib68"
    detector_params: Mapping[str, Any] = field(default_factory=dict)
    landmarker_params: Mapping[str, Any] = field(default_factory=dict)


def detect_face(detector: Detector, image: np.ndarray) -> DetectedFace | None:
    """Return the person's face in an RGB image (H, W, 3), or None if there is none, even with a border added."""
    face = _choose_face(detector, image)
    return face if face is not None else next(_faces_with_border(detector, image), None)


def _choose_face(detector: Detector, image: np.ndarray) -> DetectedFace | None:
    detections = detector(image)
    if len(detections) == 0:
        return None
    index, remark = select_face(detections, (image.shape[1], image.shape[0]))
    points = detections.points_xy[index]
    return DetectedFace(
        box_xyxy=detections.boxes_xyxy[index],
        points_xy=points if np.isfinite(points).all() else None,
        score=detections.scores[index],
        n_faces=len(detections),
        n_large_faces=count_large_faces(detections, index),
        remark=remark,
    )


def _faces_with_border(detector: Detector, image: np.ndarray) -> Iterator[DetectedFace]:
    """Yield the faces found in copies with a border, in the pixels of the image; each lies inside the image."""
    for share, filling in ADDED_BORDERS:
        width = round(share * min(image.shape[:2]))
        wider = cv2.copyMakeBorder(image, width, width, width, width, filling, value=GREY)
        face = _choose_face(detector, wider)
        if face is None:
            continue
        box, points = face.box_xyxy - np.float32(width), face.points_xy
        centre = (box[:2] + box[2:]) / 2
        if (centre > 0).all() and (centre < image.shape[1::-1]).all():
            remark = "; ".join(part for part in (face.remark, BORDER_REMARK) if part)
            moved = None if points is None else points - np.float32(width)
            yield replace(face, box_xyxy=box, points_xy=moved, remark=remark)


def place_landmarks(
    landmarker: Landmarker,
    image: np.ndarray,
    box_xyxy: np.ndarray,
    points_xy: np.ndarray | None,
    max_disagreement: float = MAX_LANDMARK_DISAGREEMENT,
) -> tuple[np.ndarray, bool]:
    """Return the landmarks (68, 2) of a face and whether they agree with the five points (True without points)."""
    landmarks = landmarker(image, box_xyxy, points_xy)
    return landmarks, points_xy is None or landmark_disagreement(landmarks, points_xy) <= max_disagreement


def locate_with_border(
    detector: Detector,
    landmarker: Landmarker,
    image: np.ndarray,
    max_disagreement: float = MAX_LANDMARK_DISAGREEMENT,
) -> LocatedFace | None:
    """Return the first face, found with a border added, whose landmarks agree with its five points, or None.

    For a face whose landmarks disagree with the points that were found without a border.
    """
    for face in _faces_with_border(detector, image):
        landmarks, is_consistent = place_landmarks(landmarker, image, face.box_xyxy, face.points_xy, max_disagreement)
        if is_consistent:
            return LocatedFace(face, landmarks, is_consistent)
    return None


def make_locator(settings: LocatorSettings | None = None) -> Locator:
    """Load detector and landmarker; the returned function gives the located face of an image, or None without a face.

    Raises BackendError for an unknown backend or a missing model file.
    """
    settings = settings or LocatorSettings()
    detector = load_backend("detector", settings.detector).make(**settings.detector_params)
    landmarker = load_backend("landmarker", settings.landmarker).make(**settings.landmarker_params)

    def locate(image: np.ndarray) -> LocatedFace | None:
        face = detect_face(detector, image)
        if face is None:
            return None
        landmarks, is_consistent = place_landmarks(landmarker, image, face.box_xyxy, face.points_xy)
        again = None if is_consistent else locate_with_border(detector, landmarker, image)
        return again or LocatedFace(face, landmarks, is_consistent)

    return locate


def require_landmarks(located: LocatedFace | None) -> LocatedFace:
    """Return the face if its landmarks can be used. Raises StageError without a face or with inconsistent landmarks."""
    if located is None:
        raise StageError("no face found.")
    if not located.is_consistent:
        raise StageError("the landmarks are off the face: it is hidden, blurred or turned too far.")
    return located


def locator_version(settings: LocatorSettings | None = None) -> str:
    """Return the versions of detector and landmarker, for the key of a kept result.

    Raises BackendError if a model file is absent.
    """
    settings = settings or LocatorSettings()
    versions = []
    for kind, name, params in (
        ("detector", settings.detector, settings.detector_params),
        ("landmarker", settings.landmarker, settings.landmarker_params),
    ):
        backend = load_backend(kind, name)
        backend.check(**params)
        versions.append(backend.version)
    return ";".join(versions)
