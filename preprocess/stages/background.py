"""The step `background`: the person in front of a plain colour.

What a crop shows beyond its photo is background: the remover works on the photo's part alone, because it cannot tell a
repeated edge from the person.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from pipeline.backends import load_backend
from pipeline.faces import Remover
from pipeline.step import Outcome, Record, Step, StepFunction
from preprocess.settings import BackgroundSettings
from preprocess.stages import geometry
from preprocess.stages.backend_choice import choose_backend, choose_remover

MIN_FACE_ALPHA = 0.6  # mean alpha in the face box below which the remover has removed the face
MAX_FOREGROUND = 0.995  # mean alpha of the image above which no background was found


def background_step(settings: BackgroundSettings) -> Step:
    """Return the step that replaces the background; `auto` is resolved by `choose_remover`.

    Raises BackendError if a model file is absent.
    """
    settings = choose_remover(settings)
    backend, check = choose_backend("remover", settings.backend, settings.params)
    check()  # before the file's hash is computed
    version = f"{backend.version}+photo"
    if settings.backend == "rembg":  # a user's own file under the model's name gives other results
        from preprocess.backends.rembg_remover import fingerprint

        version += f"+{fingerprint(**settings.params)}"
    return Step(
        "background",
        make_background,
        version,
        settings.model_dump(mode="json"),
        requires=("box_xyxy",),
        uses=("photo_corners_xy",),
        check=check,
    )


def make_background(backend: str, params: Mapping[str, Any], colour_rgb: list[int]) -> StepFunction:
    """Load the remover. Where it removes the face or nothing at all, the image stays as it is, a fallback."""
    remover = load_backend("remover", backend).make(**params)
    red, green, blue = colour_rgb

    def background(record: Record, image: np.ndarray) -> Outcome:
        box = np.array(record["box_xyxy"], np.float32)
        corners = geometry.points_of(record.get("photo_corners_xy"))
        alpha, inside = photo_alpha(remover, image, box, corners)
        x0, y0, x1, y1 = np.clip(np.round(box), 0, [*image.shape[1::-1]] * 2).astype(int)
        face = alpha[y0:y1, x0:x1]
        if face.size == 0 or face.mean() < MIN_FACE_ALPHA:
            return Outcome(status="fallback", reason=f"{backend} removed the face, kept the background")
        if alpha[inside].mean() > MAX_FOREGROUND:
            return Outcome(status="fallback", reason=f"{backend} found no background")
        return Outcome(picture=blend_over(image, alpha, (red, green, blue)))

    return background


def photo_alpha(
    remover: Remover, image: np.ndarray, box_xyxy: np.ndarray, corners_xy: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return alpha (H, W) float32, 0 beyond the photo, and where the photo is, (H, W) bool.

    `corners_xy` (4, 2) are those of the photo in the image, None where it covers the whole image.
    """
    if corners_xy is None:
        return remover(image, box_xyxy), np.ones(image.shape[:2], bool)
    inside = np.zeros(image.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, np.round(corners_xy * 16).astype(np.int32), 1, shift=4)
    x, y, width, height = cv2.boundingRect(inside)
    if not width:  # a box beyond its photo: nothing to remove
        return np.ones(image.shape[:2], np.float32), inside.astype(bool)
    alpha = np.zeros(image.shape[:2], np.float32)
    part = np.ascontiguousarray(image[y : y + height, x : x + width])
    alpha[y : y + height, x : x + width] = remover(part, box_xyxy - np.array([x, y, x, y], np.float32))
    return alpha * inside, inside.astype(bool)


def blend_over(image: np.ndarray, alpha: np.ndarray, colour_rgb: tuple[int, int, int]) -> np.ndarray:
    """Return image (H, W, 3) uint8 composited over a plain colour with alpha (H, W) in [0, 1]."""
    weight = alpha[..., None].astype(np.float32)
    mixed = image * weight + np.array(colour_rgb, np.float32) * (1 - weight)
    return np.clip(np.round(mixed), 0, 255).astype(np.uint8)
