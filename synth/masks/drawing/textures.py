"""Surface detail in fabric coordinates: weave, creases, soft folds, stains and printed patterns."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.floating]  # float32 throughout: half the memory traffic of float64
Rng = np.random.Generator


def smooth_noise(shape: tuple[int, int], cells: tuple[int, int], rng: Rng) -> F32:
    """Return (h, w) noise with mean 0 and unit variance, smooth over `cells` (across, down)."""
    grid = rng.standard_normal((cells[1] + 3, cells[0] + 3), dtype=np.float32)
    big = cv2.resize(grid, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(big / max(float(big.std()), 1e-6), dtype=np.float32)


def weave(shape: tuple[int, int], strength: float, rng: Rng) -> F32:
    """Return (h, w) fine grain of non-woven or woven fabric, about 0."""
    fine = rng.standard_normal(shape, dtype=np.float32)
    fine = np.asarray(cv2.GaussianBlur(fine, (5, 5), 0.8), np.float32)
    clumps = smooth_noise(shape, (shape[1] // 6, shape[0] // 6), rng)
    return np.asarray(strength * (1.8 * fine + 0.5 * clumps), dtype=np.float32)


def creases(shape: tuple[int, int], count: int, depth: float, rng: Rng) -> F32:
    """Return (h, w) height of `count` folds that run from the gathered sides inwards and fade."""
    h, w = shape
    canvas = np.zeros(shape, np.float32)
    for _ in range(count):
        side = rng.choice([-1.0, 1.0])
        start = np.array([side * rng.uniform(0.80, 0.98), rng.uniform(0.08, 0.92)])
        end = np.array([side * rng.uniform(0.15, 0.65), np.clip(start[1] + rng.normal(0, 0.15), 0.05, 0.95)])
        bow, level = rng.normal(0, 0.025), rng.uniform(0.3, 1.0) * rng.choice([-0.7, 1.0])
        width = max(1, round(w * rng.uniform(0.003, 0.010)))
        f = np.linspace(0, 1, 24)[:, None]
        line = start + (end - start) * f + np.array([0.0, bow]) * np.sin(np.pi * f)
        px = np.column_stack([(line[:, 0] * 0.45 + 0.5) * w, (line[:, 1] * 0.84 + 0.08) * h])
        px16 = np.rint(px * 16).astype(np.int32)
        for i in range(23):
            fade = np.sin(np.pi * (1 - f[i, 0]) ** 0.6)  # deepest near the gather
            cv2.line(canvas, px16[i].tolist(), px16[i + 1].tolist(), float(depth * level * fade), width, cv2.LINE_AA, 4)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), w * 0.0035), dtype=np.float32)


def stains(shape: tuple[int, int], rng: Rng) -> F32:
    """Return a (h, w) factor near 1: a damp spot at the mouth and a few faint marks."""
    y, x = (np.linspace(0, 1, n, dtype=np.float32) for n in shape)
    factor = np.ones(shape, np.float32)
    for _ in range(int(rng.integers(0, 4))):
        across = np.exp(-(((x - rng.uniform(0.25, 0.75)) / rng.uniform(0.03, 0.16)) ** 2))
        down = np.exp(-(((y - rng.uniform(0.2, 0.85)) / rng.uniform(0.03, 0.14)) ** 2))
        factor -= np.float32(rng.uniform(0.01, 0.035)) * np.outer(down, across)
    return factor


# Patterns: (x, y in half widths of the mask, base colour, rng) → colour (h, w, 3) in [0, 1].
Pattern = Callable[[F32, F32, F32, Rng], F32]


def _contrasting_colour(base: F32, rng: Rng) -> F32:
    """Return a random colour that contrasts with `base`: lighter on dark, darker on light."""
    light = base.mean() < 0.55
    low, high = (0.62, 0.98) if light else (0.08, 0.45)
    tint = rng.uniform(low, high, 3).astype(np.float32)
    return np.asarray(0.55 * tint + 0.45 * tint.mean(), dtype=np.float32)


def _mix(base: F32, other: F32, share: F32) -> F32:
    return np.asarray(base + (other - base) * np.clip(share, 0, 1)[..., None], dtype=np.float32)


def _soft_step(value: F32, edge: float = 0.06) -> F32:
    return np.asarray(np.clip(value / edge + 0.5, 0, 1), dtype=np.float32)


def stripes(x: F32, y: F32, base: F32, rng: Rng) -> F32:
    """Draw parallel stripes at any angle."""
    angle, period = rng.uniform(0, np.pi), rng.uniform(0.07, 0.22)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
    return _mix(base, _contrasting_colour(base, rng), _soft_step(wave - rng.uniform(-0.3, 0.6), 0.25))


def dots(x: F32, y: F32, base: F32, rng: Rng) -> F32:
    """Draw polka dots on a staggered grid."""
    period = rng.uniform(0.09, 0.2)
    row = np.floor(y / period)
    dx = (x / period + 0.5 * (row % 2)) % 1 - 0.5
    dy = (y / period) % 1 - 0.5
    return _mix(base, _contrasting_colour(base, rng), _soft_step(rng.uniform(0.18, 0.34) - np.hypot(dx, dy), 0.08))


def plaid(x: F32, y: F32, base: F32, rng: Rng) -> F32:
    """Draw tartan: two sets of translucent bands."""
    period, out = rng.uniform(0.16, 0.34), np.broadcast_to(base, (*np.broadcast_shapes(x.shape, y.shape), 3))
    for colour in (_contrasting_colour(base, rng), _contrasting_colour(base, rng)):
        for axis in (x, y):
            phase = (axis / period + rng.uniform()) % 1
            out = _mix(out, colour, 0.45 * _soft_step(rng.uniform(0.06, 0.2) - np.abs(phase - 0.5), 0.03) + 0 * (x + y))
    return np.asarray(out, dtype=np.float32)


def blobs(x: F32, y: F32, base: F32, rng: Rng) -> F32:
    """Draw camouflage or tie-dye: thresholded smooth noise in two colours."""
    shape = np.broadcast_shapes(x.shape, y.shape)
    cells = int(rng.integers(6, 16))
    out = np.broadcast_to(base, (*shape, 3)).astype(np.float32)
    for _ in range(2):
        out = _mix(
            out, _contrasting_colour(base, rng), _soft_step(smooth_noise(shape, (cells, cells), rng) - 0.5, 0.25)
        )
    return out


def flowers(x: F32, y: F32, base: F32, rng: Rng) -> F32:
    """Draw scattered flowers with five petals."""
    shape = np.broadcast_shapes(x.shape, y.shape)
    out, petal, heart = (
        np.broadcast_to(base, (*shape, 3)),
        _contrasting_colour(base, rng),
        _contrasting_colour(base, rng),
    )
    for _ in range(int(rng.integers(18, 40))):
        cx, cy, size, turn = rng.uniform(-1, 1), rng.uniform(-0.7, 0.7), rng.uniform(0.035, 0.09), rng.uniform(0, 6)
        radius, angle = np.hypot(x - cx, y - cy), np.arctan2(y - cy, x - cx)
        edge = size * (0.65 + 0.35 * np.cos(5 * angle + turn))
        out = _mix(out, petal, _soft_step(edge - radius, 0.012))
        out = _mix(out, heart, _soft_step(0.3 * size - radius, 0.012))
    return np.asarray(out, dtype=np.float32)


PATTERNS: tuple[Pattern, ...] = (stripes, dots, plaid, blobs, flowers, stripes)
