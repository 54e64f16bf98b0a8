"""The step `crop`: an image of the face with a margin, and all geometry in its pixels."""

from __future__ import annotations

import numpy as np

from pipeline.step import Outcome, Record, Step, StepFunction
from preprocess.settings import CropSettings
from preprocess.stages import geometry

CROP_VERSION = "2"


def crop_step(settings: CropSettings) -> Step:
    """Return the step that cuts out the face and moves box, points and landmarks along."""
    geometry_columns = ("box_xyxy", "points_xy", "landmarks_xy")
    params = settings.model_dump(mode="json")
    return Step("crop", make_crop, CROP_VERSION, params, requires=geometry_columns, adds=geometry_columns)


def make_crop(margin: float, size_wh: list[int] | None, align: bool, border: str) -> StepFunction:
    """Return the function of the step; the parameters are those of `CropSettings`."""
    wanted_wh = (size_wh[0], size_wh[1]) if size_wh else None

    def crop(record: Record, image: np.ndarray) -> Outcome:
        box, points = record["box_xyxy"], geometry.points_of(record["points_xy"])
        landmarks = geometry.points_of(record["landmarks_xy"])
        roll = geometry.roll_of(points) if align and points is not None else 0.0
        transform, crop_wh = geometry.crop_transform(box, margin, wanted_wh, roll)
        columns = {
            "box_xyxy": geometry.move_box(box, transform),
            "points_xy": None if points is None else geometry.move_points(points, transform),
            "landmarks_xy": None if landmarks is None else geometry.move_points(landmarks, transform),
        }
        return Outcome(columns, picture=geometry.warp(image, transform, crop_wh, border))

    return crop
