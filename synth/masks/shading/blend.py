"""Lighting of the warped fabric, and premultiplied alpha blending into the photo.

Everything runs on single planes (h, w) float32: on interleaved (h, w, 3) arrays numpy's inner loop has three elements,
and the same sums take four times as long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.masks.drawing import HEADROOM, SLOPE_UNIT
from synth.masks.fitting import FaceGeometry, Straps, draw_straps
from synth.masks.shading.jpeg import Jpeg, compress
from synth.masks.shading.light_fields import contact_shadow, gain_field
from synth.masks.shading.scene_light import SceneLight

F32 = NDArray[np.floating]  # float32 throughout: half the memory traffic of float64
U8 = NDArray[np.uint8]
Roi = tuple[int, int, int, int]
_SHOULDER = 226.0
"""Above this level highlights are compressed by half, as in cameras, so that a white mask keeps its folds."""


def alpha_over(premultiplied: F32, clear: F32, background: NDArray[Any]) -> F32:
    """Composite one plane by Porter and Duff's over (1984): premultiplied colour, `clear` = 1 - alpha, background."""
    return np.asarray(cv2.add(premultiplied, cv2.multiply(clear, background, dtype=cv2.CV_32F)), np.float32)


def shade_and_blend(
    photo: U8,
    fabric: U8,
    slope: U8,
    fabric_xyxy: Roi,
    straps: Straps,
    strap_rgb: Sequence[float],
    face: FaceGeometry,
    light: SceneLight,
    roi_xyxy: Roi,
    parameters: Mapping[str, Any],
) -> tuple[U8, F32]:
    """Return the composite (h, w, 3) uint8, and the alpha (h, w) float32 of fabric and straps together.

    `photo` (h, w, 3) covers the ROI; `fabric` (fh, fw, 4), premultiplied at HEADROOM, and `slope` (fh, fw) cover
    `fabric_xyxy` in it.
    """
    fabric, ribbon = _match_blur(fabric, draw_straps(straps, roi_xyxy), light, parameters)
    x, y = fabric_xyxy[0] - roi_xyxy[0], fabric_xyxy[1] - roi_xyxy[1]
    here = np.s_[y : y + fabric.shape[0], x : x + fabric.shape[1]]
    *colours, alpha8 = cv2.split(fabric)
    alpha = np.multiply(alpha8, np.float32(1 / 255), dtype=np.float32)
    both = np.multiply(ribbon, np.float32(1 / 255), dtype=np.float32)
    gain = gain_field(light, roi_xyxy)
    gain *= np.float32(light.exposure * parameters["exposure_gain"])
    relief = float(parameters["relief"] * np.clip(-1.2 * light.side, -1, 1) / SLOPE_UNIT) * (
        -1 if parameters["flipped"] else 1
    )
    turned = cv2.addWeighted(slope, relief / HEADROOM, slope, 0, (1 - 128 * relief) / HEADROOM, dtype=cv2.CV_32F)
    fabric_gain = cv2.multiply(gain[here], turned)
    strap_gain = cv2.multiply(both, cv2.addWeighted(both, 0.26, both, 0, 0.74))  # soft edges are round, so darker
    cv2.multiply(strap_gain, gain, dst=strap_gain)
    strap_gain[here] *= 1 - alpha
    both[here] += alpha - alpha * both[here]
    clear = 1 - both
    clear *= contact_shadow(both, face, light, roi_xyxy, float(parameters["shadow"]))
    grain = _grain(alpha, light, parameters)
    planes = []
    for c, (colour, under) in enumerate(zip(colours, cv2.split(photo), strict=True)):
        tint = float(parameters["colour_gain"][c] * light.cast[c])
        lit = cv2.add(cv2.multiply(colour, fabric_gain, scale=tint, dtype=cv2.CV_32F), grain)
        lit = cv2.min(lit, cv2.addWeighted(lit, 0.5, alpha, 0.5 * _SHOULDER, 0))
        front = np.multiply(strap_gain, np.float32(strap_rgb[c] * light.cast[c]))
        front[here] += lit
        # Rounds; grain on black can reach -1.
        planes.append(cv2.convertScaleAbs(alpha_over(front, clear, under)))
    done = np.asarray(cv2.merge(planes), np.uint8)
    if light.jpeg is not None:
        _compress_part(done, fabric_xyxy, roi_xyxy, light.jpeg)
    cv2.copyTo(photo, (clear > 0.998).view(np.uint8), done)
    return done, both


def _compress_part(done: U8, fabric_xyxy: Roi, roi_xyxy: Roi, jpeg: Jpeg) -> None:
    """Apply the photo's own compression, in place, to the blocks of the ROI that contain fabric."""
    low = [
        max(f - (f - o) % 8 - r, (o - r) % 8)
        for f, r, o in zip(fabric_xyxy[:2], roi_xyxy[:2], jpeg.origin_xy, strict=True)
    ]
    x, y = low
    blocks = done[y : fabric_xyxy[3] - roi_xyxy[1], x : fabric_xyxy[2] - roi_xyxy[0]]
    blocks[...] = compress(blocks, jpeg)


def _match_blur(fabric: U8, ribbon: U8, light: SceneLight, parameters: Mapping[str, Any]) -> tuple[U8, U8]:
    """Blur fabric and straps to match the photo's edges; a warped template is already blurred by about 0.6 px."""
    sigma = float(np.sqrt(max((light.sigma_px * float(parameters["blur_gain"])) ** 2 - 0.6**2, 0.0)))
    if sigma < 0.3:
        return fabric, ribbon
    sigma = min(sigma, 4.0)
    size = 2 * int(np.ceil(2 * sigma - 0.6)) + 1  # the part of the kernel cut off is below 5 %
    soft, soft_ribbon = (cv2.GaussianBlur(layer, (size, size), sigma) for layer in (fabric, ribbon))
    return np.asarray(soft, np.uint8), np.asarray(soft_ribbon, np.uint8)


@lru_cache(maxsize=1)
def _noise_tile() -> F32:
    tile = np.random.default_rng(2).normal(0, 1, (512, 512)).astype(np.float32)
    soft = cv2.GaussianBlur(tile, (0, 0), 0.7)  # as grain after a lens and a JPEG encoder
    return np.asarray(soft / soft.std(), dtype=np.float32)


def _grain(alpha: F32, light: SceneLight, parameters: Mapping[str, Any]) -> F32:
    """Return (h, w) noise like the photo's own, premultiplied. The tile repeats every 512 px."""
    h, w = alpha.shape
    y, x = parameters["grain_at"]
    tile = _noise_tile()
    if y + h > 512 or x + w > 512:
        tile = np.tile(tile, ((y + h - 1) // 512 + 1, (x + w - 1) // 512 + 1))
    return np.asarray(tile[y : y + h, x : x + w] * alpha * np.float32(min(light.noise, 8.0)), dtype=np.float32)
