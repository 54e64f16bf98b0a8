"""Zones of a face in the frame (skin, features, eyes, forehead …), and the likeness of pixels to the person's skin."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.ages.frame import F32, F64, FRAME_WH, forehead

U8 = NDArray[np.uint8]
FEATHER_PX = 22.0
_CHEEKS_AND_NOSE = [1, 2, 3, 13, 14, 15, 27, 28, 29, 30, 31, 33, 35]
_TONE_SIGMA = np.array([22.0, 9.0, 11.0], np.float32)  # Lab: lightness varies over a face much more than hue
_GROW_PX = 6.0
_BROW_AND_EYE = ([17, 18, 19, 20, 21, 39, 40, 41, 36], [22, 23, 24, 25, 26, 45, 46, 47, 42])


class Zones:
    """Soft weights (H, W) of the parts of a face in the frame, from the mean shape.

    face      1 well inside the jaw line and hairline, 0 on and outside them
    features  brows, eyes, nostrils and mouth
    eyes      the open eyes, whose colour must not change
    lines     skin on which age lines form: the face without features and nose
    quarters  `lines` left and right of the nose, above and below the brows
    forehead  1 above the brows, 0 below them
    bridge    between the eyes, where only glasses show strong dark lines
    cheeks    (H, W) bool, skin that is nearly always bare: cheeks and nose
    """

    def __init__(self, mean_xy: F64) -> None:
        self.face = _soft_face(mean_xy)
        self.features = _soft([*(mean_xy[part] for part in _BROW_AND_EYE), mean_xy[48:60], mean_xy[31:36]], _GROW_PX)
        self.eyes = _soft([mean_xy[36:42], mean_xy[42:48]], 1.0)
        inner = _filled([mean_xy[_CHEEKS_AND_NOSE]])
        self.cheeks = (inner > 0) & (self.face == 1) & (self.features < 0.02)
        nose = _soft([mean_xy[[21, 22, 31, 33, 35]]], _GROW_PX)
        self.bridge = _soft([mean_xy[[39, 42, 29, 21, 22]]], 0.0)
        self.lines = np.asarray(self.face * (1 - np.maximum(self.features, nose)), np.float32)
        middle, brows = FRAME_WH[0] // 2, int(mean_xy[17:27, 1].mean())
        rows = np.arange(FRAME_WH[1], dtype=np.float32)[:, None]
        self.forehead = np.broadcast_to(np.clip((brows - rows) / 16, 0, 1), self.face.shape)
        halves = (slice(None), slice(None, middle)), (slice(None), slice(middle, None))
        levels = (slice(None, brows), slice(None)), (slice(brows, None), slice(None))
        self.quarters = [_only(_only(self.lines, half), level) for half in halves for level in levels]


def face_zones(mean_xy: F64) -> Zones:
    """Return the zones of a mean shape (68, 2), computed once."""
    return _cached_zones(np.ascontiguousarray(mean_xy, np.float64).tobytes())


@lru_cache(maxsize=4)
def _cached_zones(mean_bytes: bytes) -> Zones:
    return Zones(np.frombuffer(mean_bytes).reshape(68, 2))


def to_lab(image: U8) -> F32:
    """Convert uint8 RGB to float32 CIE L*a*b*, L in 0 to 100."""
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)


def skin_tone(lab: F32, zones: Zones) -> F32:
    """Return the median Lab (3,) over cheeks and nose, which depends on person and light but not on age."""
    return np.asarray(np.median(lab[zones.cheeks], axis=0), np.float32)


def skin_color_score(lab: F32, tone: F32) -> F32:
    """Return (H, W), 1 where the colour is the person's skin, towards 0 for hair, glasses, beard and glare."""
    small = cv2.resize(lab, (FRAME_WH[0] // 2, FRAME_WH[1] // 2), interpolation=cv2.INTER_AREA)
    apart = (((small - tone) / _TONE_SIGMA) ** 2).sum(axis=2)
    score = cv2.GaussianBlur(np.exp(-0.5 * np.maximum(apart - 1, 0)), (0, 0), 1.5)
    return np.asarray(cv2.resize(score, FRAME_WH, interpolation=cv2.INTER_LINEAR), np.float32)


def _only(weights: F32, part: tuple[slice, slice]) -> F32:
    kept = np.zeros_like(weights)
    kept[part] = weights[part]
    return kept


def _soft_face(mean_xy: F64) -> F32:
    ring = np.vstack([mean_xy[:17], forehead(mean_xy)[::-1]])
    inside = np.zeros(FRAME_WH[::-1], np.uint8)
    cv2.fillPoly(inside, [np.rint(ring).astype(np.int32)], 1)
    share = np.clip(cv2.distanceTransform(inside, cv2.DIST_L2, 5) / FEATHER_PX, 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def _soft(parts: list[F64], grow_px: float) -> F32:
    side = 2 * round(grow_px) + 1
    grown = cv2.dilate(_filled(parts), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    return np.asarray(cv2.GaussianBlur(grown.astype(np.float32), (0, 0), max(grow_px / 2, 1.5)), np.float32)


def _filled(parts: list[F64]) -> U8:
    filled = np.zeros(FRAME_WH[::-1], np.uint8)
    for part in parts:
        cv2.fillConvexPoly(filled, cv2.convexHull(np.rint(part).astype(np.int32)), 1)
    return filled
