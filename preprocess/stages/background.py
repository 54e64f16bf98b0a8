"""The step `background`: the person in front of a plain colour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.backends import load_backend
from pipeline.step import Outcome, Record, Step, StepFunction
from preprocess.settings import BackgroundSettings
from preprocess.stages.backend_choice import choose_backend

MIN_FACE_ALPHA = 0.6  # mean alpha in the face box below which the remover has removed the face
MAX_FOREGROUND = 0.995  # mean alpha of the image above which no background was found


def background_step(settings: BackgroundSettings) -> Step:
    """Return the step that replaces the background. Raises BackendError if a model file is absent."""
    backend, check = choose_backend("remover", settings.backend, settings.params)
    check()  # before the file's hash is computed
    version = backend.version
    if settings.backend == "rembg":  # a user's own file under the model's name gives other results
        from preprocess.backends.rembg_remover import fingerprint

        version += f"+{fingerprint(**settings.params)}"
    params = settings.model_dump(mode="json")
    return Step("background", make_background, version, params, requires=("box_xyxy",), check=check)


def make_background(backend: str, params: Mapping[str, Any], colour_rgb: list[int]) -> StepFunction:
    """Load the remover. Where it removes the face or nothing at all, the image stays as it is, a fallback."""
    remover = load_backend("remover", backend).make(**params)
    red, green, blue = colour_rgb

    def background(record: Record, image: np.ndarray) -> Outcome:
        box = np.array(record["box_xyxy"], np.float32)
        alpha = remover(image, box)
        x0, y0, x1, y1 = np.clip(np.round(box), 0, [*image.shape[1::-1]] * 2).astype(int)
        face = alpha[y0:y1, x0:x1]
        if face.size == 0 or face.mean() < MIN_FACE_ALPHA:
            return Outcome(status="fallback", reason=f"{backend} removed the face, kept the background")
        if alpha.mean() > MAX_FOREGROUND:
            return Outcome(status="fallback", reason=f"{backend} found no background")
        return Outcome(picture=blend_over(image, alpha, (red, green, blue)))

    return background


def blend_over(image: np.ndarray, alpha: np.ndarray, colour_rgb: tuple[int, int, int]) -> np.ndarray:
    """Return image (H, W, 3) uint8 composited over a plain colour with alpha (H, W) in [0, 1]."""
    weight = alpha[..., None].astype(np.float32)
    mixed = image * weight + np.array(colour_rgb, np.float32) * (1 - weight)
    return np.clip(np.round(mixed), 0, 255).astype(np.uint8)
