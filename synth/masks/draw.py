"""Mask templates drawn by code at any resolution: premultiplied colour, alpha and a relief to light.

A template is drawn in fabric coordinates: ``s`` from -1 to 1 across, ``t`` from 0 to 1 down, with a margin of
`MARGIN` fabric units on all sides so that soft edges and stitching have room.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
MARGIN = 0.10
ASPECT = 0.62
"""Height over width of the flat patch; a pleated mask of 17.5 cm shows about 11 cm when it is worn."""


@dataclass(frozen=True)
class Template:
    """`rgba` (h, w, 4) uint8 premultiplied; `relief` (h, w, 2) int8-like float32: slope to the right and down."""

    rgba: NDArray[np.uint8]
    relief: F32
    key_xy: F32  # (6, 2) px: top left, top middle, top right, bottom left, bottom middle, bottom right

    def to_px(self, s: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) template px of fabric points: quadratic across through three points, linear down."""
        basis = np.stack([0.5 * s * (s - 1), 1 - s * s, 0.5 * s * (s + 1)], axis=-1)
        top, bottom = basis @ self.key_xy[:3], basis @ self.key_xy[3:]
        return top * (1 - t)[:, None] + bottom * t[:, None]


@lru_cache(maxsize=64)
def draw(mask_type: str, variant: int, width_px: int) -> Template:
    """Draw one template, `width_px` wide between its side key points. Cached: each is drawn once a process."""
    height_px = round(width_px * ASPECT)
    pad_x, pad_y = round(MARGIN * width_px / 2), round(MARGIN * height_px)
    w, h = width_px + 2 * pad_x, height_px + 2 * pad_y
    s = ((np.arange(w, dtype=np.float32) - pad_x) / width_px * 2 - 1)[None, :]
    t = ((np.arange(h, dtype=np.float32) - pad_y) / height_px)[:, None]
    rng = np.random.default_rng([variant, 7])
    colour, alpha, height = _surgical(s, t, width_px, rng)
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=0.125) * width_px * 0.5
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=0.125) * width_px * 0.5
    rgba = np.dstack([colour * alpha[..., None], alpha])
    left, right, top, bottom = pad_x, pad_x + width_px, pad_y, pad_y + height_px
    mid = 0.5 * (left + right)
    keys = [(left, top), (mid, top), (right, top), (left, bottom), (mid, bottom), (right, bottom)]
    return Template(np.rint(rgba * 255).astype(np.uint8), np.dstack([slope_x, slope_y]), np.array(keys, np.float32))


def _surgical(s: F32, t: F32, width_px: int, rng: np.random.Generator) -> tuple[F32, F32, F32]:
    """Three-ply pleated rectangle: colour (h, w, 3), alpha (h, w), height (h, w) in half widths."""
    px = 2.0 / width_px
    qx, qy = np.abs(s) - 0.94, (np.abs(t - 0.5) - 0.44) * 2 * ASPECT
    outside = np.hypot(np.maximum(qx, 0), np.maximum(qy, 0)) + np.minimum(np.maximum(qx, qy), 0)
    alpha = np.clip(0.5 - (outside - 0.06) / (1.5 * px), 0, 1)
    height = np.zeros_like(alpha)
    for at in (0.30, 0.47, 0.64):
        line = t - at - 0.012 * np.sin(s * 3 + rng.uniform(0, 6)) + 0.02 * s * s
        height += 0.020 * np.clip(line / 0.03, 0, 1) * np.exp(-np.clip(line, 0, None) / 0.09)
    height += 0.010 * np.exp(-(((t - 0.055) / 0.018) ** 2)) * (np.abs(s) < 0.45)
    weave = rng.normal(0, 0.012, alpha.shape).astype(np.float32)
    base = np.array([0.53, 0.73, 0.86], np.float32)
    colour = np.broadcast_to(base, (*alpha.shape, 3)) + weave[..., None]
    return np.clip(colour, 0, 1).astype(np.float32), alpha.astype(np.float32), height.astype(np.float32)
