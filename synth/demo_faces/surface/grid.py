"""The atlas grid, and the functions on 2-D grids that the portrait layers consist of: bumps, creases and noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]  # float32 throughout; Any, because OpenCV's stubs know no element types

DENSITY = 104.0  # atlas pixels per head unit; an image has about 70, so features stay sharp
X_HALF = 1.4  # the face atlas spans x in [-1.4, 1.4] head units (1 unit = distance between the pupils)
Y_TOP, Y_BOTTOM = -2.0, 2.0


def smoothstep(edge0: float, edge1: float, value: Array) -> Array:
    """Return the Hermite step from 0 at `edge0` to 1 at `edge1`; the edges may be in descending order."""
    t = np.clip((value - edge0) / (edge1 - edge0), 0.0, 1.0)
    return (t * t * (3.0 - 2.0 * t)).astype(np.float32)


def mix(first: Array, second: Array, weight: Array | float) -> Array:
    """Blend linearly; `weight` (H, W) is broadcast over colour channels."""
    w = np.asarray(weight, np.float32)
    if w.ndim == 2 and max(np.ndim(first), np.ndim(second)) == 3:
        w = w[..., None]
    return (first + (second - first) * w).astype(np.float32)


def value_noise(rng: np.random.Generator, shape: tuple[int, int], cell_px: tuple[float, float]) -> Array:
    """Return smooth noise with unit variance, `shape` (H, W), with a grain of about `cell_px` (y, x) pixels."""
    rows = max(2, round(shape[0] / cell_px[0]) + 2)
    cols = max(2, round(shape[1] / cell_px[1]) + 2)
    coarse = rng.standard_normal((rows, cols)).astype(np.float32)
    noise = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return (noise / max(float(noise.std()), 1e-6)).astype(np.float32)


def line_noise(rng: np.random.Generator, coordinate: Array, along: Array, frequency: float) -> Array:
    """Return strands: noise that varies fast with `coordinate` and slowly with `along`, in about [-2, 2].

    Both coordinates are (H, W) in head units; `frequency` is strands per unit.
    """
    table: Array = rng.standard_normal((24, 512)).astype(np.float32)
    table = cv2.GaussianBlur(table, (0, 0), sigmaX=0.6, sigmaY=0.8)
    table = table / np.std(table)
    map_x = np.mod(coordinate * frequency, 511.0).astype(np.float32)
    map_y = np.mod(along * 2.2 + 7.0, 23.0).astype(np.float32)
    return cv2.remap(table, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


@dataclass(frozen=True)
class Grid:
    """Coordinates of the face atlas: `x` (1, W) and `y` (H, 1) in head units, origin between the pupils, y down."""

    x: Array
    y: Array

    @classmethod
    def atlas(cls) -> Grid:
        """Return the grid of all face layers."""
        cols = round(2 * X_HALF * DENSITY)
        rows = round((Y_BOTTOM - Y_TOP) * DENSITY)
        x = (np.arange(cols, dtype=np.float32) + 0.5) / DENSITY - X_HALF
        y = (np.arange(rows, dtype=np.float32) + 0.5) / DENSITY + Y_TOP
        return cls(x[None, :], y[:, None])

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (H, W) of a layer on this grid."""
        return self.y.shape[0], self.x.shape[1]

    def bump(self, cx: float, cy: float, sx: float, sy: float, power: float = 2.0) -> Array:
        """Return a separable bump of height 1 at (cx, cy); `sx`, `sy` are the half-widths at exp(-1)."""
        gx = np.exp(-(np.abs((self.x - cx) / sx) ** power))
        gy = np.exp(-(np.abs((self.y - cy) / sy) ** power))
        return (gy * gx).astype(np.float32)

    def pair(self, cx: float, cy: float, sx: float, sy: float, power: float = 2.0) -> Array:
        """Return the bump at (cx, cy) plus its mirror image at (-cx, cy)."""
        gx = np.exp(-(np.abs((self.x - cx) / sx) ** power)) + np.exp(-(np.abs((self.x + cx) / sx) ** power))
        gy = np.exp(-(np.abs((self.y - cy) / sy) ** power))
        return (gy * gx).astype(np.float32)

    def disc(self, cx: float, cy: float, sx: float, sy: float, angle_deg: float = 0.0) -> Array:
        """Return a rotated Gaussian bump of height 1."""
        c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
        dx, dy = self.x - cx, self.y - cy
        return np.exp(-(((dx * c + dy * s) / sx) ** 2) - ((-dx * s + dy * c) / sy) ** 2).astype(np.float32)

    def crease(self, points_xy: NDArray[np.float64], width: float) -> Array:
        """Return a soft line of height 1 through `points_xy` (N, 2), fading towards both ends."""
        pixels = (points_xy - (-X_HALF, Y_TOP)) * DENSITY
        out = np.zeros(self.shape, np.float32)
        count = len(pixels) - 1
        thick = max(1, round(width * DENSITY * 0.7))
        for i in range(count):
            strength = float(np.sin(np.pi * (i + 0.5) / count) ** 0.6)
            ends = np.round(pixels[i : i + 2] * 16).astype(int)
            cv2.line(out, tuple(ends[0]), tuple(ends[1]), strength, thick, cv2.LINE_AA, 4)
        reach = max(width * DENSITY * 0.5, 0.6)
        return cv2.GaussianBlur(out, (0, 0), reach)


def spline(knots: NDArray[np.float64], at: Array) -> Array:
    """Evaluate a monotone cubic curve through `knots` (N, 2) of (position, value), constant outside them."""
    from scipy.interpolate import PchipInterpolator

    inside = np.clip(at, knots[0, 0], knots[-1, 0])
    return PchipInterpolator(knots[:, 0], knots[:, 1])(inside).astype(np.float32)
