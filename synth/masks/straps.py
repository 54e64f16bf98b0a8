"""Ear loops and head bands: where they run on the upright face, and how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.masks.fit import Array, Face
from synth.masks.types import MaskType

_FADE = 0.12
_CUT_LENGTH = 0.20  # of a loop cut from the fabric that is not drawn out, in face scales
# Shares of the path at which it is drawn: an even run, then close steps where it fades behind the ear.
_ALONG = np.concatenate([np.linspace(0, 1 - _FADE, 10), np.linspace(1 - _FADE, 1, 7)[1:]])[:, None]


@dataclass(frozen=True)
class Strap:
    """One visible strap: `path_xy` (n, 2) px from the fabric on, `width_px`, and how its far end vanishes."""

    path_xy: Array
    width_px: float
    fades: bool  # its far end goes behind the ear
    taper: float = 1.0  # width at the far end over the width at the fabric


def patch_at(patch: Array, s: float, t: float) -> Array:
    """(2,) upright px of a fabric point, bilinear in the (5, 9, 2) patch."""
    rows, cols = patch.shape[:2]
    x, y = np.clip((s + 1) / 2 * (cols - 1), 0, cols - 1), np.clip(t * (rows - 1), 0, rows - 1)
    j, i = min(int(x), cols - 2), min(int(y), rows - 2)
    fx, fy = x - j, y - i
    top = patch[i, j] * (1 - fx) + patch[i, j + 1] * fx
    bottom = patch[i + 1, j] * (1 - fx) + patch[i + 1, j + 1] * fx
    return np.asarray(top * (1 - fy) + bottom * fy, dtype=np.float64)


@lru_cache(maxsize=8)
def ear_points(face: Face, sign: int) -> tuple[Array, Array]:
    """Upright px where a loop goes behind the ear, above and at the lobe; on the far side, the edge of the face."""
    near = _nearness(face, sign)  # the nearer ear stands further out
    end, second, low = (face.jaw(k if sign < 0 else 16.0 - k) for k in (0.0, 1.0, 2.6))
    out = face.scale_px * float(np.clip(0.042 + 0.22 * near, 0.0, 0.12))
    outwards = np.array([float(sign), 0.0])
    return end + 0.15 * (end - second) + out * outwards, low + (0.6 * out + 0.008 * face.scale_px) * outwards


def _nearness(face: Face, sign: int) -> float:
    """How much wider this half of the face is than the other, over both: 0 frontal, negative on the far side."""
    points = face.points_xy
    mid_x = (points[27, 0] + points[30, 0] + points[33, 0] + points[8, 0]) / 4
    half, other = (abs(points[2 if side < 0 else 14, 0] - mid_x) for side in (sign, -sign))
    return float(min(max((half - other) / max(half + other, 1e-6), -0.8), 0.4))


def _bow(start: Array, end: Array, bow: float) -> Array:
    """(n, 2) quadratic curve from start to end; `bow` is its sagitta over its length, positive downwards."""
    f = _ALONG
    length = float(np.linalg.norm(end - start))
    return np.asarray(start + (end - start) * f + [0.0, bow * length] * (4 * f * (1 - f)), dtype=np.float64)


def worn_straps(face: Face, patch: Array, kind: MaskType, width_px: float, bow: float) -> list[Strap]:
    """Two straps on each side, from the fabric's side edge to the ear (loops) or round the head (bands)."""
    straps = []
    for sign in (-1, 1):
        ear_top, ear_low = ear_points(face, sign)
        shown = min(max(1 + 2.2 * (_nearness(face, sign) + 0.15), 0.0), 1.0)  # the far ear turns out of sight
        if kind.straps == "bands":
            up = np.array([sign * 0.03, -0.16]) * face.scale_px
            ear_top, ear_low = ear_top + up, ear_low + np.array([sign * 0.02, 0.10]) * face.scale_px
        edge_top, edge_low = (face.jaw(k if sign < 0 else 16.0 - k) for k in (2.2, 3.2))
        ear_top, ear_low = ear_top * shown + edge_top * (1 - shown), ear_low * shown + edge_low * (1 - shown)
        for t, ear, lean in ((kind.anchor_t[0], ear_top, bow), (kind.anchor_t[1], ear_low, 1.6 * bow)):
            start = patch_at(patch, sign * (kind.anchor_s - 0.05), t)
            path = _bow(start, ear, lean)
            if kind.straps == "cut":  # a loop of the fabric itself gets narrow where it is drawn out
                drawn = float(np.hypot(*(ear - start))) / (_CUT_LENGTH * face.scale_px)
                straps.append(Strap(path, width_px / max(drawn, 1.0) ** 0.8, True, 0.55))
            else:
                straps.append(Strap(path, width_px, True))
    return straps


def hanging_straps(face: Face, patch: Array, kind: MaskType, width_px: float, sign: int, drop: float) -> list[Strap]:
    """The loop that still holds on the ear of side `sign`, and the free loop that dangles from the other edge."""
    _, ear = ear_points(face, sign)
    ear = ear - [0.0, 0.06 * face.scale_px]
    top, bottom = (patch_at(patch, sign * 0.92, t) for t in kind.anchor_t)
    straps = [Strap(_bow(point, ear, 0.03), width_px, True) for point in (top, bottom)]
    if kind.straps != "cut":
        a, b = (patch_at(patch, -sign * 0.92, t) for t in kind.anchor_t)
        f = np.linspace(0, 1, 14)[:, None]
        low = 0.5 * (a + b) + [0.0, drop * face.scale_px]
        loop = (1 - f) ** 3 * a + 3 * f * (1 - f) ** 2 * (low + (a - b) * 0.3)
        loop = loop + 3 * f**2 * (1 - f) * (low - (a - b) * 0.3) + f**3 * b
        straps.append(Strap(loop, width_px, False))
    return straps


def draw_straps(straps: list[Strap], roi_xyxy: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """(h, w, 2) uint8 alpha and core: the core is the lit middle of a strap, the rest its rounded edge.

    `straps` carry image pixels here.
    """
    x0, y0, x1, y1 = roi_xyxy
    alpha = np.zeros((y1 - y0, x1 - x0), np.uint8)
    core = np.zeros_like(alpha)
    for strap in straps:
        path = strap.path_xy - (x0, y0)
        along = np.vstack([path[1:2] - path[:1], path[2:] - path[:-2], path[-1:] - path[-2:-1]])
        normal = np.column_stack([-along[:, 1], along[:, 0]])
        normal /= np.maximum(np.hypot(normal[:, :1], normal[:, 1:]), 1e-9)
        width = strap.width_px * np.linspace(1.0, strap.taper, len(path))[:, None]
        # LINE_AA widens a polygon by about half a pixel on each side; take that off again.
        offset = normal * np.maximum(0.5 * width - 0.35, 0.12)
        _fill(alpha, path, offset, strap.fades)
        _fill(core, path, normal * np.maximum(0.22 * width - 0.35, 0.12), False)
    return np.asarray(cv2.merge([alpha, core]), np.uint8)


def _fill(layer: NDArray[np.uint8], path: Array, offset: Array, fades: bool) -> None:
    """Fill one ribbon; its last steps with falling alpha, drawn first so that the rest covers them."""
    left = np.rint((path + offset) * 16).astype(np.int32)
    right = np.rint((path - offset) * 16).astype(np.int32)
    n = len(path)
    solid = n - 6 if fades else n
    parts = [(i, i + 2, round(255 * (n - 1 - i) / (n - solid + 1))) for i in range(n - 2, solid - 2, -1)]
    for start, stop, level in (*parts, (0, solid, 255)):
        ring = np.concatenate([left[start:stop], right[start:stop][::-1]])
        cv2.fillPoly(layer, [ring], level, cv2.LINE_AA, 4)
