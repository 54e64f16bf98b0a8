"""The steps that look at a picture: detect, landmarks, crop, background.

Each has a `make_…` that loads its model and gives the function (record, picture) → Outcome, and a builder that makes
the `Step` from the settings. The functions hold no rule of their own beyond when to fall back.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from data_manifests.errors import ConfigError, must_be_one_of
from pipeline.backends import Backend, load_backend
from pipeline.faces import centre_box, choose_face, disagreement, fit_mean_shape
from pipeline.step import Outcome, Record, Step, StepFunction
from preprocess.settings import BackgroundSettings, CropSettings, DetectSettings, LandmarkSettings
from preprocess.stages import geometry
from preprocess.stages.compositing import lay_over

CROP_VERSION = "2"
LEAST_FACE = 0.6  # share of the face box that a remover must leave standing
MOST_PERSON = 0.995  # share of the picture from which on nothing was removed


def detect_step(settings: DetectSettings) -> Step:
    """Which face, where."""
    backend, check = _backend("detector", settings.backend, settings.params)
    params = {"backend": settings.backend, "params": settings.params}
    adds = ("box_xyxy", "detection_score", "points_xy", "faces")
    return Step("detect", make_detect, backend.version, params, adds=adds, check=check)


def make_detect(backend: str, params: Mapping[str, Any]) -> StepFunction:
    detector = load_backend("detector", backend).make(**params)

    def detect(record: Record, picture: np.ndarray) -> Outcome:
        picture_wh = picture.shape[1], picture.shape[0]
        faces = detector(picture)
        if len(faces) == 0:
            columns = {"box_xyxy": centre_box(picture_wh), "detection_score": 0.0, "points_xy": None, "faces": 0}
            return Outcome(columns, status="fallback", reason="no face found, took the middle of the picture")
        index, remark = choose_face(faces, picture_wh)
        columns = {
            "box_xyxy": faces.boxes_xyxy[index],
            "detection_score": faces.scores[index],
            "points_xy": faces.points_xy[index],
            "faces": len(faces),
        }
        return Outcome(columns, reason=remark)

    return detect


def landmarks_step(settings: LandmarkSettings) -> Step:
    """68 points on the chosen face."""
    backend, check = _backend("landmarker", settings.backend, settings.params)
    version = f"{backend.version}+mean-shape"
    needs = ("box_xyxy", "points_xy", "faces")
    return Step(
        "landmarks", make_landmarks, version, settings.model_dump(), requires=needs, adds=("landmarks_xy",), check=check
    )


def make_landmarks(backend: str, params: Mapping[str, Any], max_disagreement: float) -> StepFunction:
    landmarker = load_backend("landmarker", backend).make(**params)

    def landmarks(record: Record, picture: np.ndarray) -> Outcome:
        if record["faces"] == 0:
            return Outcome({"landmarks_xy": None})  # detect has said why
        points = _points(record["points_xy"])
        found = landmarker(picture, np.array(record["box_xyxy"], np.float32), points)
        if points is not None and disagreement(found, points) > max_disagreement:
            remark = f"{backend} is off the detector's five points, took the mean shape"
            return Outcome({"landmarks_xy": fit_mean_shape(points)}, status="fallback", reason=remark)
        return Outcome({"landmarks_xy": found})

    return landmarks


def crop_step(settings: CropSettings) -> Step:
    """A picture of the face with some margin, and all geometry in its pixels."""
    geometry_columns = ("box_xyxy", "points_xy", "landmarks_xy")
    params = settings.model_dump(mode="json")
    return Step("crop", make_crop, CROP_VERSION, params, requires=geometry_columns, adds=geometry_columns)


def make_crop(margin: float, size_wh: list[int] | None, align: bool, border: str) -> StepFunction:
    wanted_wh = (size_wh[0], size_wh[1]) if size_wh else None

    def crop(record: Record, picture: np.ndarray) -> Outcome:
        box, points = record["box_xyxy"], _points(record["points_xy"])
        landmarks = _points(record["landmarks_xy"])
        roll = geometry.roll_of(points) if align and points is not None else 0.0
        transform, crop_wh = geometry.crop_transform(box, margin, wanted_wh, roll)
        columns = {
            "box_xyxy": geometry.move_box(box, transform),
            "points_xy": None if points is None else geometry.move_points(points, transform),
            "landmarks_xy": None if landmarks is None else geometry.move_points(landmarks, transform),
        }
        return Outcome(columns, picture=geometry.warp(picture, transform, crop_wh, border))

    return crop


def background_step(settings: BackgroundSettings) -> Step:
    """The person before a plain colour."""
    backend, check = _backend("remover", settings.backend, settings.params)
    check()  # before the file's hash is asked for
    version = backend.version
    if settings.backend == "rembg":  # a file of one's own under the model's name gives other results
        from preprocess.backends.rembg_remover import fingerprint

        version += f"+{fingerprint(**settings.params)}"
    params = settings.model_dump(mode="json")
    return Step("background", make_background, version, params, requires=("box_xyxy",), check=check)


def make_background(backend: str, params: Mapping[str, Any], colour_rgb: list[int]) -> StepFunction:
    remover = load_backend("remover", backend).make(**params)
    red, green, blue = colour_rgb

    def background(record: Record, picture: np.ndarray) -> Outcome:
        box = np.array(record["box_xyxy"], np.float32)
        alpha = remover(picture, box)
        x0, y0, x1, y1 = np.clip(np.round(box), 0, [*picture.shape[1::-1]] * 2).astype(int)
        face = alpha[y0:y1, x0:x1]
        if face.size == 0 or face.mean() < LEAST_FACE:
            return Outcome(status="fallback", reason=f"{backend} took the face away, kept the background")
        if alpha.mean() > MOST_PERSON:
            return Outcome(status="fallback", reason=f"{backend} found no background")
        return Outcome(picture=lay_over(picture, alpha, (red, green, blue)))

    return background


def _backend(kind: str, name: str, params: Mapping[str, Any]) -> tuple[Backend, Callable[[], None]]:
    """The backend and its check. Raises ConfigError for a parameter that it does not have."""
    backend = load_backend(kind, name)
    known = inspect.signature(backend.make).parameters
    for key in params:
        if key not in known:
            raise ConfigError(must_be_one_of(f"parameter of {name}", known, key))
    return backend, partial(backend.check, **params)


def _points(flat: Any) -> np.ndarray | None:
    """Numbers of a row → (N, 2) float32."""
    return None if flat is None else np.array(flat, np.float32).reshape(-1, 2)
