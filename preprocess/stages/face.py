"""The steps `detect` and `landmarks`: locate the person's face and record its geometry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.backends import load_backend
from pipeline.faces import (
    DetectedFace,
    Detector,
    centre_box,
    detect_face,
    fit_mean_shape,
    locate_with_border,
    place_landmarks,
)
from pipeline.step import Outcome, Record, Step, StepFunction
from preprocess.settings import DetectSettings, LandmarkSettings
from preprocess.stages.backend_choice import choose_backend
from preprocess.stages.geometry import points_of


def detect_step(settings: DetectSettings) -> Step:
    """Return the step that finds the face: box, five points, score."""
    backend, check = choose_backend("detector", settings.backend, settings.params)
    params = {"backend": settings.backend, "params": settings.params}
    adds = ("box_xyxy", "detection_score", "points_xy", "faces")
    return Step("detect", make_detect, backend.version, params, adds=adds, check=check)


def make_detect(backend: str, params: Mapping[str, Any]) -> StepFunction:
    """Load the detector. Where it finds no face, the step falls back to the middle of the image."""
    detector = load_backend("detector", backend).make(**params)

    def detect(record: Record, image: np.ndarray) -> Outcome:
        face = detect_face(detector, image)
        if face is None:
            box = centre_box((image.shape[1], image.shape[0]))
            columns = {"box_xyxy": box, "detection_score": 0.0, "points_xy": None, "faces": 0}
            return Outcome(columns, status="fallback", reason="no face found, took the middle of the picture")
        return Outcome(_columns_of(face), reason=face.remark)

    return detect


def _columns_of(face: DetectedFace) -> dict[str, Any]:
    return {
        "box_xyxy": face.box_xyxy,
        "detection_score": face.score,
        "points_xy": face.points_xy,
        "faces": face.n_faces,
    }


def landmarks_step(settings: LandmarkSettings, detect: DetectSettings) -> Step:
    """Return the step that places 68 points on the detected face; `detect` is for a repeated search."""
    backend, check = choose_backend("landmarker", settings.backend, settings.params)
    detector, _ = choose_backend("detector", detect.backend, detect.params)
    version = f"{backend.version}+{detector.version}+mean-shape"
    needs = ("box_xyxy", "points_xy", "faces")
    params = settings.model_dump() | {"detector": detect.backend, "detector_params": detect.params}
    adds = ("landmarks_xy",)
    return Step("landmarks", make_landmarks, version, params, requires=needs, adds=adds, check=check)


def make_landmarks(
    backend: str,
    params: Mapping[str, Any],
    max_disagreement: float,
    detector: str,
    detector_params: Mapping[str, Any],
) -> StepFunction:
    """Load the landmarker. Where its landmarks disagree with the five points, the face is searched once more, with a
    border added to the picture; if they still disagree, the mean shape replaces them, a fallback.
    """
    landmarker = load_backend("landmarker", backend).make(**params)
    finder: list[Detector] = []  # loaded with the first face that needs it

    def landmarks(record: Record, image: np.ndarray) -> Outcome:
        if record["faces"] == 0:
            return Outcome({"landmarks_xy": None})  # the step detect has recorded the reason
        points = points_of(record["points_xy"])
        box = np.array(record["box_xyxy"], np.float32)
        found, is_consistent = place_landmarks(landmarker, image, box, points, max_disagreement)
        if points is None or is_consistent:
            return Outcome({"landmarks_xy": found})
        if not finder:
            finder.append(load_backend("detector", detector).make(**detector_params))
        again = locate_with_border(finder[0], landmarker, image, max_disagreement)
        if again is not None:
            columns = {**_columns_of(again.face), "landmarks_xy": again.landmarks_xy}
            return Outcome(columns, reason=again.face.remark)
        remark = f"{backend} disagrees with the detector's five points, took the mean shape"
        return Outcome({"landmarks_xy": fit_mean_shape(points)}, status="fallback", reason=remark)

    return landmarks
