"""Where fabric meets photo: lighting the warped fabric and premultiplied alpha over.

All of it runs on single planes (h, w) float32: on interleaved (h, w, 3) arrays numpy's inner loop is three
elements long, and the same sums take four times as long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.masks.draw import HEADROOM, SLOPE_UNIT
from synth.masks.fit import Face
from synth.masks.shade import Light, contact_shadow, gain_field
from synth.masks.straps import Strap, draw_straps

F32 = NDArray[np.floating]  # float32 throughout: half the memory traffic of float64
U8 = NDArray[np.uint8]
Roi = tuple[int, int, int, int]
_SHOULDER = 226.0
"""Above this level highlights are compressed by half, as cameras do: a white mask keeps its folds."""


def over(premultiplied: F32, clear: F32, background: NDArray[Any]) -> F32:
    """Porter and Duff's over (1984) on one plane: colour that already carries alpha, 1 - alpha, what lies below."""
    return np.asarray(cv2.add(premultiplied, cv2.multiply(clear, background, dtype=cv2.CV_32F)), np.float32)


def shade_and_blend(
    photo: U8,
    fabric: U8,
    slope: U8,
    straps: list[Strap],
    strap_rgb: Sequence[float],
    face: Face,
    light: Light,
    roi_xyxy: Roi,
    recipe: Mapping[str, Any],
) -> tuple[U8, F32]:
    """Composite (h, w, 3) uint8 and alpha (h, w) float32 of fabric and straps together.

    `photo` (h, w, 3), `fabric` (h, w, 4) premultiplied at HEADROOM and `slope` (h, w) cover the ROI.
    """
    ribbon = draw_straps(straps, roi_xyxy)
    fabric, ribbon = _match_blur(fabric, ribbon, light, recipe)
    *colours, alpha8 = cv2.split(fabric)
    alpha = np.multiply(alpha8, np.float32(1 / 255), dtype=np.float32)
    strap = np.multiply(ribbon[..., 0], np.float32(1 / 255), dtype=np.float32)
    both = np.asarray(alpha + strap - alpha * strap, np.float32)
    gain = gain_field(light, face, roi_xyxy)
    gain *= np.float32(light.exposure * recipe["exposure_gain"])
    core = np.multiply(ribbon[..., 1], np.float32(0.26 / 255), dtype=np.float32)
    strap_gain = (core + np.float32(0.74)) * gain * strap
    relief = float(recipe["relief"] * np.clip(-1.2 * light.side, -1, 1) / SLOPE_UNIT)
    turned = cv2.addWeighted(slope, relief / HEADROOM, slope, 0, (1 - 128 * relief) / HEADROOM, dtype=cv2.CV_32F)
    fabric_gain = cv2.multiply(gain, turned)
    dark = contact_shadow(both, face, roi_xyxy, float(recipe["shadow"]), light.side)
    grain = _grain(alpha, light, recipe)
    strap_gain *= 1 - alpha
    clear = (1 - both) * dark
    planes = []
    for c, (colour, under) in enumerate(zip(colours, cv2.split(photo), strict=True)):
        tint = float(recipe["colour_gain"][c] * light.cast[c])
        lit = cv2.add(cv2.multiply(colour, fabric_gain, scale=tint, dtype=cv2.CV_32F), grain)
        lit = cv2.min(lit, cv2.addWeighted(lit, 0.5, alpha, 0.5 * _SHOULDER, 0))
        front = cv2.scaleAdd(strap_gain, float(strap_rgb[c] * light.cast[c]), lit)
        # Rounds; grain on black may dip to -1.
        planes.append(cv2.convertScaleAbs(over(np.asarray(front, np.float32), clear, under)))
    done = cv2.merge(planes)
    same = (clear > 0.998).view(np.uint8)
    cv2.copyTo(photo, same, done)
    return np.asarray(done, np.uint8), both


def _match_blur(fabric: U8, ribbon: U8, light: Light, recipe: Mapping[str, Any]) -> tuple[U8, U8]:
    """Blur fabric and straps to the photo's own edges; a warped template is about 0.6 px soft already."""
    sigma = float(np.sqrt(max((light.sigma_px * float(recipe["blur_gain"])) ** 2 - 0.6**2, 0.0)))
    if sigma < 0.3:
        return fabric, ribbon
    sigma = min(sigma, 4.0)
    size = 2 * int(np.ceil(2.5 * sigma)) + 1
    soft, soft_ribbon = (cv2.GaussianBlur(layer, (size, size), sigma) for layer in (fabric, ribbon))
    return np.asarray(soft, np.uint8), np.asarray(soft_ribbon, np.uint8)


@lru_cache(maxsize=1)
def _noise_tile() -> F32:
    tile = np.random.default_rng(2).normal(0, 1, (512, 512)).astype(np.float32)
    soft = cv2.GaussianBlur(tile, (0, 0), 0.7)  # grain that went through a lens and a JPEG encoder
    return np.asarray(soft / soft.std(), dtype=np.float32)


def _grain(alpha: F32, light: Light, recipe: Mapping[str, Any]) -> F32:
    """(h, w) noise like the photo's own, premultiplied. The tile repeats every 512 px."""
    h, w = alpha.shape
    y, x = recipe["grain_at"]
    tile = _noise_tile()
    if y + h > 512 or x + w > 512:
        tile = np.tile(tile, ((y + h - 1) // 512 + 1, (x + w - 1) // 512 + 1))
    return np.asarray(tile[y : y + h, x : x + w] * alpha * np.float32(min(light.noise, 8.0)), dtype=np.float32)
