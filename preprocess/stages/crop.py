"""The step `crop`: an image of the face with a margin, and all geometry in its pixels.

Where the window would reach beyond the photo by more than a tenth of its area, the margin is reduced, at most to half;
what still lies outside is grey, because a repeated edge of that width shows streaks of hair and clothes that a network
would learn. Pictures that are crops already are not cut; they are reduced where they exceed the size of a crop.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.step import Outcome, Record, Step, StepFunction
from preprocess.settings import CropSettings
from preprocess.stages import geometry

CROP_VERSION = "3"
MAX_REPEATED_SHARE = 0.1  # of the crop's area: the part beyond the photo that repeats or mirrors its edge
MARGIN_STEPS = 20  # tried from the whole margin down to half of it


def crop_step(settings: CropSettings, is_cropped: bool = False) -> Step:
    """Return the step that cuts out the face and moves box, points and landmarks along.

    `is_cropped` says that the pictures are crops already, which decides for `when=auto`.
    """
    when = settings.when
    if when == "auto":
        when = "never" if is_cropped else "always"
    needs = ("box_xyxy", "points_xy", "landmarks_xy")
    adds = (*needs, "outside_share", "photo_corners_xy")
    params = settings.model_dump(mode="json") | {"when": when}
    return Step("crop", make_crop, CROP_VERSION, params, requires=needs, adds=adds)


def make_crop(when: str, margin_share: float, size_wh: list[int] | None, align: bool, border: str) -> StepFunction:
    """Return the function of the step; the parameters are those of `CropSettings`, `when` being always or never."""
    wanted_wh = (size_wh[0], size_wh[1]) if size_wh else None

    def crop(record: Record, image: np.ndarray) -> Outcome:
        box, points = record["box_xyxy"], geometry.points_of(record["points_xy"])
        image_wh = image.shape[1], image.shape[0]
        roll = geometry.roll_of(points) if align and points is not None else 0.0
        transform, crop_wh, corners = window(np.array(box), image_wh, margin_share, wanted_wh, roll)
        outside = geometry.outside_share(corners, crop_wh)
        is_wide = outside > MAX_REPEATED_SHARE and border in ("replicate", "reflect")
        columns = moved_geometry(record, transform) | {
            "outside_share": outside,
            "photo_corners_xy": corners if outside > 0 else None,
        }
        return Outcome(columns, picture=geometry.warp(image, transform, crop_wh, "grey" if is_wide else border))

    def keep(record: Record, image: np.ndarray) -> Outcome:
        zoom = min([1.0, *(wanted_wh[i] / image.shape[1 - i] for i in (0, 1))]) if wanted_wh else 1.0
        if zoom == 1.0:
            return Outcome({"outside_share": 0.0, "photo_corners_xy": None})
        small_wh = max(1, round(image.shape[1] * zoom)), max(1, round(image.shape[0] * zoom))
        scale = np.diag(np.array(small_wh) / image.shape[1::-1])
        transform = np.column_stack([scale, (np.diag(scale) - 1) / 2])  # pixel centres are at whole numbers
        columns = moved_geometry(record, transform) | {"outside_share": 0.0, "photo_corners_xy": None}
        return Outcome(columns, picture=geometry.warp(image, transform, small_wh, "replicate"))

    return keep if when == "never" else crop


def window(
    box_xyxy: np.ndarray, image_wh: tuple[int, int], margin: float, size_wh: tuple[int, int] | None, roll: float
) -> tuple[np.ndarray, tuple[int, int], np.ndarray]:
    """Return transform, size and the photo's corners (4, 2) of the crop with the largest margin that fits.

    A margin fits if at most MAX_REPEATED_SHARE of the crop lies beyond the photo. From `margin` down to its half, the
    half is taken if none does.
    """
    for step in range(MARGIN_STEPS + 1):
        tried = margin * (1 - 0.5 * step / MARGIN_STEPS)
        transform, crop_wh = geometry.crop_transform(box_xyxy, tried, size_wh, roll)
        corners = geometry.photo_corners(image_wh, transform)
        if geometry.outside_share(corners, crop_wh) <= MAX_REPEATED_SHARE:
            break
    return transform, crop_wh, corners


def moved_geometry(record: Record, transform: np.ndarray) -> dict[str, Any]:
    """Return box, points and landmarks of a row in the crop's pixels; None where the row has none."""
    points, landmarks = (geometry.points_of(record[name]) for name in ("points_xy", "landmarks_xy"))
    return {
        "box_xyxy": geometry.move_box(record["box_xyxy"], transform),
        "points_xy": None if points is None else geometry.move_points(points, transform),
        "landmarks_xy": None if landmarks is None else geometry.move_points(landmarks, transform),
    }
