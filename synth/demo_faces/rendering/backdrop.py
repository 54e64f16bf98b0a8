"""The background of a photo: a wall, a gradient, a blurred room or a blurred street."""

from __future__ import annotations

import cv2
import numpy as np

from synth.demo_faces.parameters import Person
from synth.demo_faces.surface import Array, value_noise

SMALL_W, SMALL_H = 132, 176  # painted small because it is blurred, with a margin for the camera's shift


def build_backdrop(person: Person) -> Array:
    """Paint the background of a person, (SMALL_H, SMALL_W, 3) linear RGB."""
    rng = np.random.default_rng([person.seed, 5])
    fit = person.outfit
    wall, second = np.array(fit.wall, np.float32), np.array(fit.wall_second, np.float32)
    y = np.linspace(-1, 1, SMALL_H, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, SMALL_W, dtype=np.float32)[None, :]
    light_x = rng.uniform(-0.8, 0.8)
    falloff = 1.0 - 0.22 * ((x - light_x) ** 2 + 0.6 * (y + 0.4) ** 2)
    picture: Array = wall * np.clip(falloff, 0.35, 1.1)[..., None]
    if fit.backdrop == "gradient":
        weight = np.clip(0.5 + 0.55 * (y * rng.uniform(0.5, 1.0) + x * rng.uniform(-0.6, 0.6)), 0, 1)
        picture = wall * (1 - weight[..., None]) + second * weight[..., None]
    elif fit.backdrop == "room":
        for _ in range(int(rng.integers(4, 8))):
            x0, y0 = int(rng.integers(-20, SMALL_W - 10)), int(rng.integers(-20, SMALL_H - 30))
            size = rng.integers(14, 60, 2)
            shade = (wall if rng.random() < 0.5 else second) * rng.uniform(0.45, 1.5)
            corner = (x0 + int(size[0]), y0 + int(size[1] * 1.5))
            cv2.rectangle(picture, (x0, y0), corner, tuple(float(c) for c in shade), -1)
    elif fit.backdrop == "outdoor":
        sky, leaf = np.array([0.62, 0.74, 0.86], np.float32), np.array([0.16, 0.26, 0.10], np.float32)
        weight = np.clip(
            0.5 + 1.4 * (y - rng.uniform(-0.5, 0.2)) + 0.5 * value_noise(rng, (SMALL_H, SMALL_W), (26, 26)), 0, 1
        )
        ground = leaf * (0.8 + 0.6 * rng.random()) * 0.7 + 0.3 * second
        picture = (sky * (1 - weight[..., None]) + ground * weight[..., None]).astype(np.float32)
        for _ in range(22):
            glow = (0.5 * sky + 0.5 * second) * rng.uniform(0.5, 1.3)
            centre = (int(rng.integers(0, SMALL_W)), int(rng.integers(0, SMALL_H)))
            disc = picture.copy()
            cv2.circle(disc, centre, int(rng.integers(3, 9)), tuple(float(c) for c in glow), -1, cv2.LINE_AA)
            picture = cv2.addWeighted(picture, 0.55, disc, 0.45, 0)
    blur = {"wall": 1.0, "gradient": 2.0, "room": float(rng.uniform(2.6, 5.5)), "outdoor": 2.2}[fit.backdrop]
    picture = cv2.GaussianBlur(np.ascontiguousarray(picture, np.float32), (0, 0), blur)
    return np.clip(picture, 0.004, 1.0).astype(np.float32)


def place_backdrop(backdrop: Array, shift_x: float, shift_y: float, width: int, height: int) -> Array:
    """Enlarge the backdrop to the image, shifted by a share in [-1, 1] of its margin."""
    margin_x, margin_y = 4.0, 5.0
    scale_x, scale_y = (SMALL_W - 2 * margin_x) / width, (SMALL_H - 2 * margin_y) / height
    affine = np.array([[scale_x, 0, margin_x * (1 + shift_x)], [0, scale_y, margin_y * (1 + shift_y)]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(backdrop, affine, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
