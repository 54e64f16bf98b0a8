"""Ear loops and head bands: their paths on the upright face, and their drawing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.masks.fitting.face_geometry import Array, FaceGeometry
from synth.masks.types import MaskType

_STEPS = 16
_ALONG = np.linspace(0, 1, _STEPS)[:, None]  # positions along the path
_FADE = np.clip((_STEPS - 1 - np.arange(_STEPS)) / 4, 0, 1)  # the last steps run behind the ear
_STEP_PX = 5  # steps of a fading end
_CUT_LENGTH = 0.20  # unstretched length of a loop cut from the fabric, in face scales
_NEAR = 0.12  # share of the path next to the fabric that is always visible: the strap is fixed there
_SIDES, _UPPER = np.array([-1, -1, 1, 1]), np.array([0, 1, 0, 1])


@dataclass(frozen=True)
class Straps:
    """The m straps of a mask, each starting at the fabric: `path_xy` (m, n, 2) px, `width_px` (m,)."""

    path_xy: Array
    width_px: Array
    visibility: Array  # (m, n) 1 visible, 0 hidden; falls with the distance from the fabric
    taper: float = 1.0  # width at the far end over the width at the fabric


NO_STRAPS = Straps(np.empty((0, _STEPS, 2)), np.empty(0), np.empty((0, _STEPS)))


def patch_at(patch: Array, s: Array, t: Array) -> Array:
    """Return (n, 2) upright px of fabric points, bilinear in the (5, 9, 2) patch."""
    rows, cols = patch.shape[:2]
    x, y = (s + 1) / 2 * (cols - 1), t * (rows - 1)
    j, i = np.minimum(x.astype(int), cols - 2), np.minimum(y.astype(int), rows - 2)
    fx, fy = (x - j)[:, None], (y - i)[:, None]
    top = patch[i, j] * (1 - fx) + patch[i, j + 1] * fx
    bottom = patch[i + 1, j] * (1 - fx) + patch[i + 1, j + 1] * fx
    return np.asarray(top * (1 - fy) + bottom * fy, dtype=np.float64)


@lru_cache(maxsize=8)
def ear_points(face: FaceGeometry, sign: int) -> tuple[Array, Array]:
    """Return upright px where a loop runs behind the ear, above and at the lobe; on the far side, the face's edge."""
    near = _nearness(face, sign)  # the nearer ear lies further out
    end, second, low = (face.jaw(k if sign < 0 else 16.0 - k) for k in (0.0, 1.0, 2.6))
    out = face.scale_px * float(np.clip(0.042 + 0.22 * near, 0.0, 0.12))
    outwards = np.array([float(sign), 0.0])
    return end + 0.15 * (end - second) + out * outwards, low + (0.6 * out + 0.008 * face.scale_px) * outwards


@lru_cache(maxsize=32)
def _strap_ends(face: FaceGeometry, straps: str) -> Array:
    """Return (4, 2) upright px of the far ends: left upper, left lower, right upper, right lower."""
    ends = []
    for sign in (-1, 1):
        ear_top, ear_low = ear_points(face, sign)
        seen = min(max(1 + 2.2 * (_nearness(face, sign) + 0.15), 0.0), 1.0)  # the far ear turns out of view
        if straps == "bands":
            ear_top = ear_top + np.array([sign * 0.03, -0.16]) * face.scale_px
            ear_low = ear_low + np.array([sign * 0.02, 0.10]) * face.scale_px
        edge_top, edge_low = (face.jaw(k if sign < 0 else 16.0 - k) for k in (2.2, 3.2))
        ends += [ear_top * seen + edge_top * (1 - seen), ear_low * seen + edge_low * (1 - seen)]
    return np.array(ends)


def _nearness(face: FaceGeometry, sign: int) -> float:
    """Return the width of this half of the face less the other, over both: 0 frontal, negative on the far side."""
    points = face.points_xy
    mid_x = (points[27, 0] + points[30, 0] + points[33, 0] + points[8, 0]) / 4
    half, other = (abs(points[2 if side < 0 else 14, 0] - mid_x) for side in (sign, -sign))
    return float(min(max((half - other) / max(half + other, 1e-6), -0.8), 0.4))


def _bow(start: Array, end: Array, bow: Array) -> Array:
    """Return (m, n, 2) quadratic curves from start to end; `bow` (m,) is sagitta over length, positive downwards."""
    way = end - start
    path = start[:, None] + way[:, None] * _ALONG
    path[..., 1] += (bow * np.hypot(way[:, 0], way[:, 1]))[:, None] * (4 * _ALONG * (1 - _ALONG))[:, 0]
    return np.asarray(path, dtype=np.float64)


def worn_straps(face: FaceGeometry, patch: Array, kind: MaskType, width_px: float, bow: float) -> Straps:
    """Return two straps per side, from the fabric's side edge to the ear (loops) or around the head (bands)."""
    start = patch_at(patch, _SIDES * (kind.anchor_s - 0.05), np.array(kind.anchor_t)[_UPPER])
    end = _strap_ends(face, kind.straps)
    path = _bow(start, end, np.array([bow, 1.6 * bow])[_UPPER])
    width, visibility = np.full(len(path), width_px), np.broadcast_to(_FADE, path.shape[:2])
    if kind.straps != "cut":
        return Straps(path, width, visibility)
    # A loop cut from the fabric gets narrower when stretched.
    drawn = np.hypot(*(end - start).T) / (_CUT_LENGTH * face.scale_px)
    return Straps(path, width / np.maximum(drawn, 1.0) ** 0.8, visibility, 0.55)


def hide_behind_hair(straps: Straps, skin: Array, beard: NDArray[np.bool_]) -> Straps:
    """End the straps where the skin ends: hair or the ear covers them, or the face turns away.

    `skin` (m, n) is the likeness of their points to skin, `beard` (m, n) marks points on a beard.
    """
    seen = np.clip((skin - 0.10) / 0.25, 0, 1)
    seen = np.where(beard | (_ALONG[:, 0] < _NEAR), 1.0, seen)
    seen[:, :-1] = np.maximum(seen[:, :-1], seen[:, 1:])  # a mole or an earring does not end it
    ends = np.minimum.accumulate(seen, axis=1)
    wide = np.pad(ends, ((0, 0), (2, 2)), "edge")
    soft = np.stack([wide[:, i : i + _STEPS] for i in range(5)]).mean(0)  # soft ends
    return replace(straps, visibility=np.minimum(straps.visibility, np.minimum(soft, 2 * ends)))


def hanging_straps(face: FaceGeometry, patch: Array, kind: MaskType, width_px: float, sign: int, drop: float) -> Straps:
    """Return the loop on the ear of side `sign` and the free loop at the other edge."""
    _, ear = ear_points(face, sign)
    ear = ear - [0.0, 0.06 * face.scale_px]
    s, t = np.array([1, 1, -1, -1]) * (sign * 0.92), np.array(kind.anchor_t)[_UPPER]
    top, bottom, a, b = patch_at(patch, s, t)
    held = _bow(np.stack([top, bottom]), np.stack([ear, ear]), np.full(2, 0.03))
    visibility = np.stack([_FADE, _FADE, np.ones(_STEPS)])
    if kind.straps == "cut":
        return Straps(held, np.full(2, width_px), visibility[:2])
    f = _ALONG
    low = 0.5 * (a + b) + [0.0, drop * face.scale_px]
    loop = (1 - f) ** 3 * a + 3 * f * (1 - f) ** 2 * (low + (a - b) * 0.3)
    loop = loop + 3 * f**2 * (1 - f) * (low - (a - b) * 0.3) + f**3 * b
    return Straps(np.concatenate([held, loop[None]]), np.full(3, width_px), visibility)


def draw_straps(straps: Straps, roi_xyxy: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Return (h, w) uint8 alpha of straps in image pixels."""
    x0, y0, x1, y1 = roi_xyxy
    layer = np.zeros((y1 - y0, x1 - x0), np.uint8)
    path = straps.path_xy - (x0, y0)
    along = np.empty_like(path)
    along[:, 1:-1], along[:, 0], along[:, -1] = (
        path[:, 2:] - path[:, :-2],
        path[:, 1] - path[:, 0],
        path[:, -1] - path[:, -2],
    )
    normal = along[..., ::-1] * [-1.0, 1.0] / np.maximum(np.hypot(along[..., :1], along[..., 1:]), 1e-9)
    width = straps.width_px[:, None, None] * np.linspace(1.0, straps.taper, path.shape[1])[:, None]
    # LINE_AA widens a polygon by about half a pixel on each side; compensate.
    offset = normal * np.maximum(0.5 * width - 0.35, 0.12)
    rings = np.rint(np.concatenate([path + offset, (path - offset)[:, ::-1]], axis=1) * 16).astype(np.int32)
    for ring, levels in zip(rings, np.rint(255 * straps.visibility).astype(int).tolist(), strict=True):
        _fill(layer, ring, levels)
    return layer


def _fill(layer: NDArray[np.uint8], ring: NDArray[np.int32], levels: list[int]) -> None:
    """Fill one ribbon (2n, 2), in 1/16 px. The part that fades from 255 is filled in short steps from the far end.

    Nearer, denser pieces then cover the soft edges of those behind them.
    """
    n = len(levels)
    solid = next((i for i, level in enumerate(levels) if level < 255), n)
    for i in range(n - 2, max(solid - 2, -1), -1):
        if levels[i] == 0:
            continue
        near, far = ring[[i, 2 * n - 1 - i]], ring[[i + 1, 2 * n - 2 - i]]
        steps = max(1, round(float(np.abs(far - near).max()) / (16 * _STEP_PX)))
        for j in range(steps - 1, -1, -1):
            level = levels[i] + (levels[i + 1] - levels[i]) * (j + 0.5) / steps
            (a, d), (b, c) = near + (far - near) * j // steps, near + (far - near) * (j + 1) // steps
            cv2.fillPoly(layer, [np.array([a, b, c, d], np.int32)], level, cv2.LINE_AA, 4)
    if solid > 1:
        cv2.fillPoly(layer, [np.concatenate([ring[:solid], ring[2 * n - solid :]])], 255, cv2.LINE_AA, 4)
