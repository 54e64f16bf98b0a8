"""Mask templates drawn by code at any resolution: premultiplied colour, alpha, and the slope across.

A template is drawn in fabric coordinates: ``s`` from -1 to 1 across, ``t`` from 0 to 1 down, with a margin for soft
edges. Light from above is part of the colour. Light from the side depends on the photo: `slope` stores how far the
surface turns to the image's right.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.masks.drawing import textures
from synth.masks.drawing.shapes import find_shape
from synth.masks.types import MASK_TYPES

F32 = NDArray[np.floating]  # float32 throughout: half the memory traffic of float64
MARGIN = 0.06
HEADROOM = 0.8
"""Colours are stored at this share, so that a lit white pleat is not clipped; blending divides by it."""
SLOPE_UNIT = 100.0
"""`slope` is stored as 128 + 100 * slope: steps of 0.01 are under one grey level after lighting."""


@dataclass(frozen=True)
class Template:
    """A flat mask: `rgba` (h, w, 4) uint8 premultiplied at HEADROOM, `slope` (h, w) uint8, `key_xy` (6, 2) px.

    Key points: top left, top middle, top right, bottom left, bottom middle, bottom right.
    """

    rgba: NDArray[np.uint8]
    slope: NDArray[np.uint8]
    key_xy: F32
    mean_rgb: tuple[float, float, float]  # of the fabric, 0 to 255; the colour of loops cut from it

    def to_px(self, s: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, 2) template px of fabric points: quadratic across through three points, linear down."""
        basis = np.stack([0.5 * s * (s - 1), 1 - s * s, 0.5 * s * (s + 1)], axis=-1)
        top, bottom = basis @ self.key_xy[:3], basis @ self.key_xy[3:]
        return np.asarray(top * (1 - t)[:, None] + bottom * t[:, None], dtype=np.float64)


def draw_template(mask_type: str, variant: int, width_px: int, flat: bool = False) -> Template:
    """Draw one template, `width_px` wide between its side key points; `flat`: not stretched over a nose.

    Cached per process, with room for all types and variants in two or three sizes. Raises ConfigError if the type's
    shape is not in SHAPES.
    """
    kept = _draw_small if width_px <= _SMALL_PX else _draw_large
    return kept(mask_type, variant, width_px, flat)


def _draw(mask_type: str, variant: int, width_px: int, flat: bool) -> Template:
    kind = MASK_TYPES[mask_type]
    over = 2 if width_px <= 200 else 1  # small templates are drawn at twice the size to keep stitches smooth
    aspect, big = kind.aspect, width_px * over
    tall = round(width_px * aspect) * over
    pad_x, pad_y = round(MARGIN * width_px) * over, round(MARGIN * width_px) * over
    s = (((np.arange(big + 2 * pad_x, dtype=np.float32) + 0.5 - pad_x) / big) * 2 - 1)[None, :]
    t = ((np.arange(tall + 2 * pad_y, dtype=np.float32) + 0.5 - pad_y) / tall)[:, None]
    rng = np.random.default_rng([sum(map(ord, mask_type)), variant])
    shape = find_shape(kind.shape)(s, t, aspect, 0.15 if flat else 1.0, rng)
    size = (tall + 2 * pad_y, big + 2 * pad_x)
    # An edge of 1.8 px: sides are foreshortened to half or less, where a sharper edge aliases.
    alpha = np.clip(0.5 + shape.inside * (big / 2 / over / 1.8), 0, 1).astype(np.float32)
    height = shape.height + 0.012 * np.clip(shape.inside / 0.02, 0, 1)  # the edge has a thickness
    height = height + textures.creases(size, int(rng.integers(3, 11)), 0.020, rng)
    height = height + rng.uniform(0.004, 0.014) * textures.smooth_noise(size, (7, 5), rng)
    height = height.astype(np.float32)
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=0.125) * (big / 2)
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=0.125) * (big / 2)
    lit = 1 + kind.relief_gain * (0.16 * np.tanh(1.2 * slope_y) - 0.05 * np.abs(np.tanh(1.2 * slope_x)))
    colour = _colour(mask_type, variant, s, t * aspect * 2 - aspect, size, rng)
    colour = colour * (shape.factor * textures.stains(size, rng) * lit)[..., None]
    colour = colour + (np.float32(0.62) * lit[..., None] - colour) * shape.metal[..., None]
    rgba = np.dstack([np.clip(colour * HEADROOM, 0, 1) * alpha[..., None], alpha])
    rgba, slope = (cv2.resize(a, None, fx=1 / over, fy=1 / over, interpolation=cv2.INTER_AREA) for a in (rgba, slope_x))
    slope8 = np.clip(np.rint(128 + SLOPE_UNIT * np.clip(slope, -1.2, 1.2)), 0, 255)
    left, right = pad_x / over - 0.5, (pad_x + big) / over - 0.5
    top, bottom = pad_y / over - 0.5, (pad_y + tall) / over - 0.5
    mid = 0.5 * (left + right)
    keys = [(left, top), (mid, top), (right, top), (left, bottom), (mid, bottom), (right, bottom)]
    rgba8 = np.rint(rgba * 255).astype(np.uint8)
    return Template(rgba8, slope8.astype(np.uint8), np.array(keys, np.float32), mean_colour(rgba8))


_SMALL_PX = 300  # 0.4 MB a template; of 972 px it is 4 MB
_draw_small = lru_cache(maxsize=384)(_draw)
_draw_large = lru_cache(maxsize=48)(_draw)


def mean_colour(rgba: NDArray[np.uint8]) -> tuple[float, float, float]:
    """Return the mean fabric colour of a premultiplied template, 0 to 255."""
    total = rgba.reshape(-1, 4).sum(0, dtype=np.float64)
    red, green, blue = (float(c / max(total[3], 1.0) * 255 / HEADROOM) for c in total[:3])
    return red, green, blue


def _colour(mask_type: str, variant: int, s: F32, y: F32, size: tuple[int, int], rng: np.random.Generator) -> F32:
    """Return (h, w, 3) albedo in [0, 1]: base colour, printed pattern, weave."""
    kind = MASK_TYPES[mask_type]
    base = np.array(kind.colours[variant % len(kind.colours)], np.float32) / 255  # variants cycle through the colours
    colour: F32 = np.broadcast_to(base, (*size, 3)).astype(np.float32)
    if kind.patterned:
        colour = textures.PATTERNS[variant % len(textures.PATTERNS)](s, y, base, rng)
    grain = textures.weave(size, 0.020 if kind.shape in ("cloth", "sponge") else 0.011, rng)
    return np.asarray(colour * (1 + grain[..., None]), dtype=np.float32)
