"""Mask shapes in fabric coordinates: outline, height and colour factor of each, and the table SHAPES.

Units: `s` in [-1, 1] across and `t` in [0, 1] down, as broadcastable arrays; heights and distances in half widths of
the mask; `tent` is how far the fabric is stretched over a nose, 1 if worn. Where the height falls downwards, light from
above makes the surface darker: this draws pleats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import ConfigError, must_be_one_of

F32 = NDArray[np.floating]  # float32 throughout: half the memory traffic of float64


@dataclass(frozen=True)
class ShapeLayers:
    """Layers of a shape, all (h, w) float32: `inside` is the distance to the outline, positive in the fabric."""

    inside: F32
    height: F32
    factor: F32  # multiplies the base colour; welds and seams are darker
    metal: F32  # share of bare metal (a nose clip)


def _box(s: F32, t: F32, aspect: float, half_s: float, round_: float) -> F32:
    """Return the distance inside a rounded rectangle that fills the patch to `half_s` and to the full height."""
    qx = np.abs(s) - (half_s - round_)
    qy = np.abs(t - 0.5) * 2 * aspect - (aspect - round_)
    out = np.hypot(np.maximum(qx, 0), np.maximum(qy, 0)) + np.minimum(np.maximum(qx, qy), 0) - round_
    return np.asarray(-out, dtype=np.float32)


def _band(value: F32, at: float, width: float) -> F32:
    """Return a soft bump of unit height where `value` passes `at`."""
    return np.asarray(np.exp(-(((value - at) / width) ** 2)), dtype=np.float32)


def _tent(s: F32, t: F32, nose_t: float, amount: float) -> F32:
    """Return the large form: fabric over the nose, leaning back to the chin and the cheeks."""
    across = np.exp(-((np.abs(s) / 0.42) ** 1.7))
    down = np.where(
        t < nose_t, 1 - ((nose_t - t) / (nose_t + 0.12)) ** 2, 1 - 0.75 * ((t - nose_t) / (1.05 - nose_t)) ** 2
    )
    return np.asarray(amount * across * np.clip(down, -0.2, 1) + 0.25 * amount * (1 - s * s), dtype=np.float32)


def _stitch(value: F32, along: F32, at: float, pitch: float) -> F32:
    """Return a row of stitches or weld dots where `value` passes `at`."""
    dash = 0.5 + 0.5 * np.cos(along * 2 * np.pi / pitch)
    return np.asarray(_band(value, at, 0.008) * dash, dtype=np.float32)


def surgical(s: F32, t: F32, aspect: float, tent: float, rng: np.random.Generator) -> ShapeLayers:
    """Draw a pleated rectangle: three pleats that open in the middle, nose wire, welded edges."""
    inside = _box(s, t, aspect, 0.965, 0.05)
    inside = inside - 0.018 * np.cos(np.pi * (t - 0.5)) * np.abs(s) ** 6  # gathered sides
    height = _tent(s, t, 0.30, 0.20 * tent)
    flat = rng.uniform(0.75, 1.25)
    for at in (0.30, 0.48, 0.66):
        middle = at + (at - 0.48) * 0.30 * (1 - s * s) + rng.normal(0, 0.006)
        line = t - middle - 0.006 * np.sin(s * rng.uniform(2, 4) + rng.uniform(0, 6))
        ply = np.where(line < 0, np.exp(np.minimum(line, 0) / 0.10), np.exp(-np.maximum(line, 0) / 0.010))
        height = height + 0.022 * flat * (0.75 + 0.25 * s * s) * ply
    wire = _band(t, 0.055, 0.016) * np.clip((0.46 - np.abs(s)) / 0.03, 0, 1)
    height = height + 0.012 * wire
    welds = 0.6 * _stitch(inside, s + 0 * t, 0.045, 0.020) + 0.4 * _band(inside, 0.075, 0.007)
    sides = _stitch(np.abs(s) + 0 * t, t * 2 * aspect + 0 * s, 0.915, 0.022)
    height = height - 0.006 * (welds + sides)
    return ShapeLayers(inside, height, 1 - 0.045 * (welds + sides), np.zeros_like(inside))


def kf94(s: F32, t: F32, aspect: float, tent: float, rng: np.random.Generator) -> ShapeLayers:
    """Draw three panels: a flap over the nose, a smooth centre, a flap under the chin, with folded seams."""
    side = np.abs(s)
    inside = np.minimum(_box(s, t, aspect, 0.97, 0.06), (t - 0.035 * side**2) * 2 * aspect + 0.01)
    inside = np.minimum(inside, (1.0 - 0.03 * side**2 - t) * 2 * aspect + 0.01)
    upper = 0.335 - 0.085 * (1 - side**1.6) + rng.normal(0, 0.008)
    lower = 0.665 + 0.10 * (1 - side**1.6) + rng.normal(0, 0.008)
    height = _tent(s, t, 0.36, 0.30 * tent)
    for seam, away in ((upper, -1.0), (lower, 1.0)):
        d = (t - seam) * away  # positive on the flap
        height = height + np.where(d > 0, -0.020 * (1 - np.exp(-np.maximum(d, 0) / 0.012)), 0.0)
        height = height + 0.012 * _band(t, 0, 1) * np.exp(-((d / 0.012) ** 2))
    weld = _stitch(inside, s + 0 * t, 0.040, 0.018) + 0.5 * _band(side + 0 * t, 0.90, 0.010)
    wire = _band(t - 0.035 * side**2, 0.070, 0.020) * np.clip((0.40 - side) / 0.03, 0, 1)
    seams = np.exp(-(((t - upper) / 0.008) ** 2)) + np.exp(-(((t - lower) / 0.008) ** 2))
    height = height + 0.010 * wire - 0.006 * weld
    return ShapeLayers(inside, height, 1 - 0.05 * weld - 0.10 * seams, np.zeros_like(inside))


def kn95(s: F32, t: F32, aspect: float, tent: float, rng: np.random.Generator) -> ShapeLayers:
    """Draw a folded cup: a raised centre seam from nose to chin, welded borders, narrow sides."""
    side = np.abs(s)
    top, bottom = 0.05 * side**1.5, 1.0 - 0.06 * side**1.5
    inside = np.minimum(_box(s, t, aspect, 0.965, 0.10), np.minimum(t - top, bottom - t) * 2 * aspect + 0.005)
    height = _tent(s, t, 0.40, 0.34 * tent) + 0.045 * np.exp(-side / 0.035)
    weld = _stitch(inside, s + 0 * t, 0.050, 0.016) + 0.7 * _band(inside, 0.085, 0.006)
    cheek = _stitch(side + 0.10 * (t - 0.5) ** 2, t * 2 * aspect + 0 * s, 0.86, 0.02)
    seam = _band(side + 0 * t, 0.0, 0.010) + 0.5 * _stitch(side + 0 * t, t * 2 * aspect + 0 * s, 0.035, 0.018)
    wire = _band(t - top, 0.085, 0.022) * np.clip((0.38 - side) / 0.03, 0, 1)
    metal = wire * float(rng.uniform() < 0.35)
    height = height + 0.012 * wire - 0.006 * (weld + cheek)
    return ShapeLayers(inside, height, 1 - 0.05 * (weld + cheek) - 0.06 * seam, np.asarray(0.8 * metal, np.float32))


def cup(s: F32, t: F32, aspect: float, tent: float, rng: np.random.Generator) -> ShapeLayers:
    """Draw a moulded shell: a dome with a pressed rim, a ridge pattern and a metal nose clip."""
    side = np.abs(s)
    # Half width by height: narrow at the nose, widest below the middle, round at the chin.
    half = 0.95 * np.sqrt(np.clip(1 - (np.abs(t - 0.54) / 0.56) ** 2.3, 0, 1))
    inside = (half - side) * np.clip(0.45 + 0.55 * half, 0.2, 1)
    inside = np.minimum(inside, np.minimum(t, 1.0 - t) * 2 * aspect + 0.0 * s)
    radius = np.sqrt((side / 0.92) ** 2 + ((t - 0.52) / 0.54) ** 2)
    height = 0.62 * np.sqrt(np.clip(1 - np.clip(radius, 0, 0.995) ** 2, 0, 1)) + 0.5 * _tent(s, t, 0.34, 0.25 * tent)
    rim = _band(inside, 0.07, 0.012)
    ring = _band(radius, rng.uniform(0.60, 0.70), 0.012) * float(rng.uniform() < 0.6)
    height = height - 0.016 * rim + 0.012 * ring
    bend = t - 0.105 - 0.10 * side**2
    metal = np.clip((0.022 - np.abs(bend)) / 0.006, 0, 1) * np.clip((0.36 - side) / 0.015, 0, 1)
    height = height + 0.010 * metal
    return ShapeLayers(*(np.asarray(a, np.float32) for a in (inside, height, 1 - 0.06 * rim - 0.03 * ring, metal)))


def cloth(s: F32, t: F32, aspect: float, tent: float, rng: np.random.Generator) -> ShapeLayers:
    """Draw two sewn panels with a curved centre seam, or one pleated panel; hemmed edges with stitches."""
    side = np.abs(s)
    inside = np.minimum(
        _box(s, t, aspect, 0.965, 0.06), np.minimum(t - 0.03 * side, 1 - 0.05 * side - t) * 2 * aspect + 0.008
    )
    height = _tent(s, t, 0.36, 0.28 * tent)
    seam = np.zeros_like(inside)
    if rng.uniform() < 0.65:
        seam = _band(side + 0 * t, 0.0, 0.012)
        height = height - 0.015 * seam + 0.02 * np.exp(-side / 0.06)
    else:
        for at in (0.38, 0.62):
            line = t - at + 0.02 * (1 - s * s)
            ply = np.where(line < 0, np.exp(np.minimum(line, 0) / 0.12), np.exp(-np.maximum(line, 0) / 0.014))
            height = height + 0.030 * ply
    hem = _stitch(inside, s * 1.0 + t, 0.060, 0.030) + 0.8 * _band(inside, 0.085, 0.010)
    tunnel = _stitch(side + 0 * t, t * 2 * aspect + 0 * s, 0.87, 0.030)
    height = height - 0.008 * (hem + tunnel)
    return ShapeLayers(inside, height, 1 - 0.07 * (hem + tunnel) - 0.10 * seam, np.zeros_like(inside))


def sponge(s: F32, t: F32, aspect: float, tent: float, rng: np.random.Generator) -> ShapeLayers:
    """Draw stretch polyurethane: one smooth surface with a centre seam, sides that narrow into the loops."""
    side = np.abs(s)
    narrow = np.clip((side - 0.45) / 0.55, 0, 1) ** 2
    inside = np.minimum(t - 0.10 * narrow, 1 - 0.13 * narrow - t) * 2 * aspect
    inside = np.minimum(inside, 0.985 - side + 0 * t)
    height = _tent(s, t, 0.38, 0.34 * tent) + 0.018 * np.exp(-side / 0.05)
    seam = _band(side + 0 * t, 0.0, 0.007)
    height = height - 0.012 * seam
    return ShapeLayers(inside, height, 1 - 0.12 * seam, np.zeros_like(inside))


Shape = Callable[[F32, F32, float, float, np.random.Generator], ShapeLayers]  # s, t, aspect, tent, rng
SHAPES: dict[str, Shape] = {
    "surgical": surgical, "kf94": kf94, "kn95": kn95, "cup": cup, "cloth": cloth, "sponge": sponge,
}  # fmt: skip


def find_shape(name: str) -> Shape:
    """Return the function of a shape. Raises ConfigError for a name that is not in SHAPES."""
    if name not in SHAPES:
        error = must_be_one_of("shape of a row of MASK_TYPES", SHAPES, name)
        raise ConfigError(f"{error} Add its function to SHAPES in synth/masks/drawing/shapes.py.")
    return SHAPES[name]
