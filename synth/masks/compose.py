"""One masked face: image and landmarks in, composite, alpha, recipe and coverage out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import StageError
from synth.masks.blend import over
from synth.masks.coverage import coverage_scores
from synth.masks.draw import HEADROOM, SLOPE_UNIT, Template, draw
from synth.masks.fit import Array, Face, read_face
from synth.masks.patch import S_GRID, T_GRID, Spline, dense_map, lay_hanging, lay_patch, refuse_folds
from synth.masks.recipe import find_type, sample_recipe
from synth.masks.shade import Light, contact_shadow, gain_field, read_light
from synth.masks.straps import Strap, draw_straps, ear_points, hanging_straps, worn_straps
from synth.masks.templates import UserTemplate
from synth.masks.types import MaskType
from synth.masks.wear import Hang, Placement, gate

F32 = NDArray[np.floating]  # float32 throughout: half the memory traffic of float64
U8 = NDArray[np.uint8]
Roi = tuple[int, int, int, int]

ATTEMPTS = 4
"""Draws before a face is given up; a refused draw is a mask that slipped out of its class, not a bad face."""
_SIZES = (96, 144, 192, 288, 432, 648, 972)
# iBUG 300-W points after a left-right mirror: the new point i is the old point MIRROR_INDEX[i].
MIRROR_INDEX = np.array(
    [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, *range(35, 30, -1), 45, 44, 43, 42, 47, 46,
     39, 38, 37, 36, 41, 40, *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1)]
)  # fmt: skip


@dataclass(frozen=True)
class Composite:
    """`image` (H, W, 3) uint8 RGB, `alpha` (H, W) float32 of fabric and straps, and what was done."""

    image: U8
    alpha: F32
    recipe: dict[str, Any]
    coverage: dict[str, float]
    roi_xyxy: Roi


def compose(
    image: U8,
    landmarks_xy: NDArray[np.floating],
    *,
    mask_type: str = "surgical_blue",
    wear: str = "worn",
    seed: int = 0,
    templates: Mapping[str, UserTemplate] | None = None,
) -> Composite:
    """Put one mask on one face.

    `image` is (H, W, 3) uint8 RGB, `landmarks_xy` (68, 2) px in iBUG order. The same input and seed give the
    same bytes; a mirrored input gives the mirrored output. Raises StageError, in one line, for geometry that
    cannot carry a mask, and when no draw of the seed shows the wear that was asked for.
    """
    refused: StageError | None = None
    for attempt in range(ATTEMPTS):
        recipe = sample_recipe(mask_type, wear, seed, attempt, templates)
        try:
            return render(image, landmarks_xy, recipe, templates=templates)
        except RefusedDrawError as error:
            refused = error
    assert refused is not None
    raise refused


class RefusedDrawError(StageError):
    """This draw folds or contradicts its class; another attempt may do."""


def render(
    image: U8,
    landmarks_xy: NDArray[np.floating],
    recipe: Mapping[str, Any],
    *,
    templates: Mapping[str, UserTemplate] | None = None,
) -> Composite:
    """Rebuild a composite from its recipe: the same bytes as `compose` gave. Raises StageError as `compose`."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise StageError(f"image must be (H, W, 3) uint8 RGB. Got {image.shape} {image.dtype} instead.")
    kind = find_type(recipe["type"], templates)
    out = image.copy()
    alpha = np.zeros(image.shape[:2], np.float32)
    points = np.asarray(landmarks_xy, dtype=np.float64)
    mirror = _leans_left(points)
    view, target, target_alpha = image, out, alpha
    if mirror:  # work in one handedness: all that is random then mirrors with the face
        points = np.column_stack([image.shape[1] - 1 - points[:, 0], points[:, 1]])[MIRROR_INDEX]
        view, target, target_alpha = image[:, ::-1], out[:, ::-1], alpha[:, ::-1]
    face = read_face(points, (image.shape[0], image.shape[1]))
    try:
        patch, straps = _lay(face, kind, recipe)
        x0, y0, x1, y1 = roi = _roi(face, patch, straps, (image.shape[0], image.shape[1]))
        template = _template(recipe, patch, templates)
        fabric, slope = _warp(face, patch, roi, template)
        coverage = coverage_scores(fabric[..., 3], (x0, y0), face)
        gate(recipe["wear"], coverage)
    except StageError as error:
        raise RefusedDrawError(str(error)) from error
    light = read_light(view, face)
    photo = np.ascontiguousarray(view[y0:y1, x0:x1])
    strap_rgb = template.mean_rgb if kind.straps == "cut" else recipe["strap_colour"]
    done, both = _shade_and_blend(photo, fabric, slope, straps, strap_rgb, face, light, roi, recipe)
    target[y0:y1, x0:x1] = done
    target_alpha[y0:y1, x0:x1] = both
    if mirror:
        roi = (image.shape[1] - x1, y0, image.shape[1] - x0, y1)
    return Composite(out, alpha, dict(recipe), coverage, roi)


def _leans_left(points: Array) -> bool:
    """The handedness of a face: which half of its bounding box the points' mean falls into."""
    if points.shape != (68, 2):
        return False  # read_face has the message
    return bool(points[:, 0].mean() < 0.5 * (points[:, 0].min() + points[:, 0].max()))


def _lay(face: Face, kind: MaskType, recipe: Mapping[str, Any]) -> tuple[Array, list[Strap]]:
    """The patch (5, 9, 2) and the straps, upright."""
    width_px = float(recipe["strap_share"]) * face.scale_px
    if recipe["wear"] == "hanging":
        hang = Hang(**recipe["placement"])
        patch = lay_hanging(face, hang, ear_points(face, hang.side)[1])
        straps = hanging_straps(face, patch, kind, width_px, hang.side, hang.loop)
    else:
        patch = lay_patch(face, Placement(**recipe["placement"]))
        straps = worn_straps(face, patch, kind, width_px, float(recipe["strap_bow"]))
    refuse_folds(patch, face.scale_px)
    if kind.straps == "none":
        straps = []
    return patch, [replace(s, path_xy=face.to_image_xy(s.path_xy)) for s in straps]


def _roi(face: Face, patch: Array, straps: list[Strap], image_hw: tuple[int, int]) -> Roi:
    """The rectangle that fabric, straps and their shadow can touch, inside the image."""
    points = np.vstack([face.to_image_xy(patch.reshape(-1, 2)), *(s.path_xy for s in straps)])
    pad = 0.10 * face.scale_px + 4
    low = np.maximum(np.floor(points.min(0) - pad).astype(int), 0)
    high = np.minimum(np.ceil(points.max(0) + pad).astype(int), (image_hw[1], image_hw[0]))
    if (high - low).min() < 8:
        raise StageError("the mask would lie outside the image.")
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _warp(face: Face, patch: Array, roi: Roi, template: Template) -> tuple[F32, F32]:
    """Fabric (h, w, 4) premultiplied float32 (colour in [0, 255], alpha in [0, 1]) and its slope (h, w)."""
    ss, tt = np.meshgrid(S_GRID, T_GRID)
    at = face.to_image_xy(patch.reshape(-1, 2))
    lookup = dense_map(Spline(at, template.to_px(ss.ravel(), tt.ravel())), roi)
    empty = np.empty((0, 0))
    rgba = cv2.remap(template.rgba, lookup, empty, cv2.INTER_LINEAR)
    slope = cv2.remap(template.slope, lookup, empty, cv2.INTER_LINEAR)
    scale = np.array([1 / HEADROOM] * 3 + [1 / 255], np.float32)
    fabric = rgba.astype(np.float32) * scale
    return fabric, (slope.astype(np.float32) - 128) / np.float32(SLOPE_UNIT)


def _template(recipe: Mapping[str, Any], patch: Array, templates: Mapping[str, UserTemplate] | None) -> Template:
    """The template at about the size at which it will be seen."""
    width_px = 1.1 * float(np.linalg.norm(np.diff(patch, axis=1), axis=2).sum(1).max())
    name = recipe["type"]
    if templates and name in templates:
        return templates[name].at_width(width_px)
    return draw(name, int(recipe["variant"]), next((s for s in _SIZES if s >= width_px), _SIZES[-1]))


def _shade_and_blend(
    photo: U8, fabric: F32, slope: F32, straps: list[Strap], strap_rgb: Sequence[float], face: Face, light: Light,
    roi: Roi, recipe: Mapping[str, Any],
) -> tuple[U8, F32]:  # fmt: skip
    """Composite (h, w, 3) uint8 and alpha (h, w) of fabric and straps together."""
    strap_alpha, core = draw_straps(straps, roi)
    fabric, strap_alpha, core = _match_blur(fabric, strap_alpha, core, light, recipe)
    level = np.float32(light.exposure * recipe["exposure_gain"])
    gain = gain_field(light, face, roi) * level
    strap = strap_alpha.astype(np.float32) / 255
    alpha = fabric[..., 3]
    both = np.asarray(1 - (1 - alpha) * (1 - strap), np.float32)
    tone = np.asarray(strap_rgb, np.float32) * light.cast
    strap_light = (0.74 + 0.26 / 255 * core.astype(np.float32)) * gain * strap
    relief = float(recipe["relief"]) * float(np.clip(-1.2 * light.side, -1, 1))
    fabric_light = gain * (1 + relief * slope)
    colour = fabric[..., :3] * (np.asarray(recipe["colour_gain"], np.float32) * light.cast)
    colour *= fabric_light[..., None]
    colour += _grain(alpha, light, recipe)[..., None]
    np.minimum(colour, 226 + 0.5 * (colour - 226), out=colour)  # a shoulder, as cameras have: no burnt-out white
    dark = contact_shadow(both, face.scale_px, float(recipe["shadow"]), light.side)
    under: F32 = photo.astype(np.float32) * dark[..., None]
    under = over(strap_light[..., None] * tone, strap, under)
    done = over(colour, alpha, under)
    touched = (both > 0) | (dark < 0.998)
    result = np.where(touched[..., None], np.clip(np.rint(done), 0, 255).astype(np.uint8), photo)
    return np.asarray(result, np.uint8), both


def _match_blur(fabric: F32, strap: U8, core: U8, light: Light, recipe: Mapping[str, Any]) -> tuple[F32, U8, U8]:
    """Blur fabric and straps to the photo's own edges; a warped template is about 0.6 px soft already."""
    sigma = float(np.sqrt(max((light.sigma_px * float(recipe["blur_gain"])) ** 2 - 0.6**2, 0.0)))
    if sigma < 0.3:
        return fabric, strap, core
    blurred = (cv2.GaussianBlur(layer, (0, 0), min(sigma, 4.0)) for layer in (fabric, strap, core))
    a, b, c = blurred
    return np.asarray(a, np.float32), np.asarray(b, np.uint8), np.asarray(c, np.uint8)


@lru_cache(maxsize=1)
def _noise_tile() -> F32:
    tile = np.random.default_rng(2).normal(0, 1, (512, 512)).astype(np.float32)
    soft = cv2.GaussianBlur(tile, (0, 0), 0.7)  # grain that went through a lens and a JPEG encoder
    return np.asarray(soft / soft.std(), dtype=np.float32)


def _grain(alpha: F32, light: Light, recipe: Mapping[str, Any]) -> F32:
    """(h, w) noise like the photo's own, premultiplied."""
    h, w = alpha.shape
    y, x = recipe["grain_at"]
    tile = _noise_tile()
    rows, cols = (np.arange(h) + y) % tile.shape[0], (np.arange(w) + x) % tile.shape[1]
    return np.asarray(tile[rows[:, None], cols[None]] * (min(light.noise, 8.0) * alpha), dtype=np.float32)
