"""One masked face: image and landmarks in, composite, alpha, recipe and coverage out."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import StageError, must_be_one_of
from synth.masks.blend import over
from synth.masks.draw import draw
from synth.masks.fit import Face, read_face
from synth.masks.patch import S_GRID, T_GRID, Spline, dense_map, lay_patch, refuse_folds
from synth.masks.wear import WEARS, sample_placement

VERSION = "1"
TYPES: tuple[str, ...] = (
    "surgical_blue", "surgical_white", "surgical_green", "surgical_black", "kf94_white", "kf94_black", "kn95_white",
    "kn95_black", "n95_cup", "cloth_plain", "cloth_patterned", "cloth_dark", "sponge",
)  # fmt: skip
_SIZES = (128, 192, 288, 432, 648, 972)


@dataclass(frozen=True)
class Composite:
    """`image` (H, W, 3) uint8 RGB, `alpha` (H, W) float32 of fabric and straps, and what was done."""

    image: NDArray[np.uint8]
    alpha: NDArray[np.float32]
    recipe: dict[str, object]
    coverage: dict[str, float]
    roi_xyxy: tuple[int, int, int, int]


def compose(
    image: NDArray[np.uint8],
    landmarks_xy: NDArray[np.floating],
    *,
    mask_type: str = "surgical_blue",
    wear: str = "worn",
    seed: int = 0,
) -> Composite:
    """Put one mask on one face. Raises StageError, in one line, for geometry that cannot carry a mask."""
    if mask_type not in TYPES:
        raise StageError(must_be_one_of("mask_type", TYPES, mask_type))
    if wear not in WEARS:
        raise StageError(must_be_one_of("wear", WEARS, wear))
    if mask_type != "surgical_blue" or wear not in ("worn", "chin"):
        raise StageError(f"{mask_type} {wear} is not drawn yet. Use surgical_blue with worn or chin.")
    face = read_face(landmarks_xy, image.shape[:2])
    rng = np.random.default_rng(seed)
    place = sample_placement(wear, rng)
    patch = lay_patch(face, place)
    refuse_folds(patch, face.scale_px)
    patch_xy = face.to_image_xy(patch)
    width = float(np.ptp(patch[..., 0]))
    template = draw(mask_type, int(rng.integers(4)), next((s for s in _SIZES if s >= width), _SIZES[-1]))
    roi = _roi(patch_xy, face.scale_px, image.shape[:2])
    ss, tt = np.meshgrid(S_GRID, T_GRID)
    spline = Spline(patch_xy.reshape(-1, 2), template.to_px(ss.ravel(), tt.ravel()))
    lookup = dense_map(spline, roi)
    rgba = cv2.remap(template.rgba, lookup, None, cv2.INTER_LINEAR).astype(np.float32)
    relief = cv2.remap(template.relief, lookup, None, cv2.INTER_LINEAR)
    fabric = rgba[..., 3] / 255.0
    light = np.clip(1.0 - 0.9 * relief[..., 1], 0.6, 1.25)
    x0, y0, x1, y1 = roi
    view = image[y0:y1, x0:x1].astype(np.float32)
    done = np.clip(over(rgba[..., :3] * light[..., None], fabric, view), 0, 255)
    out = image.copy()
    out[y0:y1, x0:x1] = np.rint(done).astype(np.uint8)
    alpha = np.zeros(image.shape[:2], np.float32)
    alpha[y0:y1, x0:x1] = fabric
    recipe: dict[str, object] = {
        "version": VERSION, "type": mask_type, "wear": wear, "seed": seed, "placement": place.as_dict(),
    }  # fmt: skip
    return Composite(out, alpha, recipe, coverage_scores(alpha, face), roi)


def coverage_scores(alpha: NDArray[np.float32], face: Face) -> dict[str, float]:
    """Share of the nose, mouth and chin (polygons from the landmarks) that fabric covers."""
    pts = face.to_image_xy(face.points_xy)
    rings = {
        "nose_score": pts[[28, 31, 32, 33, 34, 35]],
        "mouth_score": pts[48:60],
        "chin_score": np.vstack([pts[[6, 7, 8, 9, 10]], 0.35 * pts[[55, 57, 59]] + 0.65 * pts[[9, 8, 7]]]),
    }
    scores = {}
    for name, ring in rings.items():
        x0, y0 = np.floor(ring.min(0)).astype(int)
        x1, y1 = np.ceil(ring.max(0)).astype(int) + 1
        x0, y0 = max(x0, 0), max(y0, 0)
        region = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillPoly(region, [np.rint((ring - (x0, y0)) * 16).astype(np.int32)], 1, shift=4)
        part = alpha[y0:y1, x0:x1]
        region = region[: part.shape[0], : part.shape[1]]
        scores[name] = float(part[region > 0].mean()) if region.any() else 0.0
    return scores


def _roi(patch_xy: NDArray[np.float64], scale_px: float, image_hw: tuple[int, int]) -> tuple[int, int, int, int]:
    pad = 0.12 * scale_px
    low = np.floor(patch_xy.min((0, 1)) - pad).astype(int)
    high = np.ceil(patch_xy.max((0, 1)) + pad).astype(int)
    x0, y0 = max(int(low[0]), 0), max(int(low[1]), 0)
    return x0, y0, min(int(high[0]), image_hw[1]), min(int(high[1]), image_hw[0])
