"""One masked face: image and landmarks in, composite, alpha, recipe and coverage out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import StageError
from synth.masks.coverage import coverage_scores
from synth.masks.drawing import Template, draw
from synth.masks.fitting import (
    NO_STRAPS,
    S_GRID,
    T_GRID,
    Array,
    Face,
    Spline,
    Straps,
    dense_map,
    ear_points,
    hanging_straps,
    hidden_by_hair,
    lay_hanging,
    lay_patch,
    read_face,
    refuse_folds,
    worn_straps,
)
from synth.masks.parameters import find_type, sample_recipe
from synth.masks.placement import Hang, Placement, gate
from synth.masks.shading import Light, crop, read_light, shade_and_blend, skin_at
from synth.masks.templates import UserTemplate
from synth.masks.types import MaskType

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
    """`image` (H, W, 3) uint8 RGB, `alpha_roi` (h, w) float32 of fabric and straps, and what was done."""

    image: U8
    alpha_roi: F32
    recipe: dict[str, Any]
    coverage: dict[str, float]
    roi_xyxy: Roi

    @property
    def alpha(self) -> F32:
        """(H, W) float32, 0 outside of the ROI."""
        x0, y0, x1, y1 = self.roi_xyxy
        full = np.zeros(self.image.shape[:2], np.float32)
        full[y0:y1, x0:x1] = self.alpha_roi
        return full


@dataclass(frozen=True)
class Scene:
    """What one photo and its landmarks say; read once for many masks on the same face."""

    face: Face
    light: Light
    mirrored: bool  # the work is done on the mirrored photo, so that all that is random mirrors with the face


def read_scene(image: U8, landmarks_xy: NDArray[np.floating]) -> Scene:
    """Check image and landmarks and measure the light. Raises StageError with the reason in one line."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise StageError(f"image must be (H, W, 3) uint8 RGB. Got {image.shape} {image.dtype} instead.")
    # Steps of 1/256 px are exact in float32 and under width - 1 - x: a mirrored face gives mirrored numbers.
    points = np.rint(np.asarray(landmarks_xy, dtype=np.float64) * 256) / 256
    mirrored = _leans_left(points)
    if mirrored:
        points = np.column_stack([image.shape[1] - 1 - points[:, 0], points[:, 1]])[MIRROR_INDEX]
    face = read_face(points, (image.shape[0], image.shape[1]))
    return Scene(face, read_light(image, face, mirrored), mirrored)


def compose(
    image: U8,
    landmarks_xy: NDArray[np.floating],
    *,
    mask_type: str = "surgical_blue",
    wear: str = "worn",
    seed: int = 0,
    templates: Mapping[str, UserTemplate] | None = None,
    scene: Scene | None = None,
) -> Composite:
    """Put one mask on one face.

    `image` is (H, W, 3) uint8 RGB, `landmarks_xy` (68, 2) px in iBUG order. `scene` is `read_scene` of the two,
    for callers that make several masks for one face. The same input and seed give the same bytes; a mirrored
    input gives the mirrored output. Raises StageError, in one line, for geometry that cannot carry a mask, and
    when no draw of the seed shows the wear that was asked for.
    """
    scene = scene or read_scene(image, landmarks_xy)
    refused: StageError | None = None
    for attempt in range(ATTEMPTS):
        recipe = sample_recipe(mask_type, wear, seed, attempt, templates)
        try:
            return render(image, scene, recipe, templates=templates)
        except RefusedDrawError as error:
            refused = error
    assert refused is not None
    raise refused


class RefusedDrawError(StageError):
    """This draw folds or contradicts its class; another attempt may do."""


def render(
    image: U8,
    scene: Scene,
    recipe: Mapping[str, Any],
    *,
    templates: Mapping[str, UserTemplate] | None = None,
) -> Composite:
    """Rebuild a composite from its recipe: the same bytes as `compose` gave. Raises StageError as `compose`."""
    kind = find_type(recipe["type"], templates)
    face, light = scene.face, scene.light
    try:
        patch, straps = _lay(face, light, kind, recipe)
        roi, box = _roi(face, light, patch, straps)
        template = _template(recipe, patch, templates)
        fabric, slope = _warp(face, patch, box, light.cell_px * 3 // 2, template, -1 if recipe["flipped"] else 1)
        coverage = coverage_scores(fabric[..., 3], box[:2], face)
        gate(recipe["wear"], coverage)
    except StageError as error:
        raise RefusedDrawError(str(error)) from error
    x0, y0, x1, y1 = roi
    out = image.copy()
    photo = crop(image, roi, scene.mirrored)
    strap_rgb = template.mean_rgb if kind.straps == "cut" else recipe["strap_colour"]
    done, both = shade_and_blend(photo, fabric, slope, box, straps, strap_rgb, face, light, roi, recipe)
    if scene.mirrored:
        done, both = np.asarray(cv2.flip(done, 1), np.uint8), np.asarray(cv2.flip(both, 1), np.float32)
        x0, x1 = image.shape[1] - x1, image.shape[1] - x0
    out[y0:y1, x0:x1] = done
    return Composite(out, both, dict(recipe), coverage, (x0, y0, x1, y1))


def _leans_left(points: Array) -> bool:
    """The handedness of a face: which half of its bounding box the points' mean falls into."""
    if points.shape != (68, 2):
        return False  # read_face has the message
    return bool(points[:, 0].mean() < 0.5 * (points[:, 0].min() + points[:, 0].max()))


def _lay(face: Face, light: Light, kind: MaskType, recipe: Mapping[str, Any]) -> tuple[Array, Straps]:
    """The patch (5, 9, 2), upright, and the straps, in image px."""
    width_px = float(recipe["strap_share"]) * face.scale_px
    if recipe["wear"] == "hanging":
        hang = Hang(**recipe["placement"])
        if abs(face.yaw_deg) > 20:  # the far ear cannot be seen
            hang = replace(hang, side=-1 if face.yaw_deg > 0 else 1)
        patch = lay_hanging(face, hang, ear_points(face, hang.side)[1])
        straps = hanging_straps(face, patch, kind, width_px, hang.side, hang.loop)
    else:
        patch = lay_patch(face, Placement(**recipe["placement"]))
        straps = worn_straps(face, patch, kind, width_px, float(recipe["strap_bow"]))
    refuse_folds(patch, face.scale_px)
    if kind.straps == "none":
        return patch, NO_STRAPS
    path = face.to_image_xy(straps.path_xy)
    if recipe["wear"] != "hanging":
        beard = light.bearded & (straps.path_xy[..., 1] > face.points_xy[51, 1])
        straps = hidden_by_hair(straps, skin_at(light, path), beard)
    return patch, replace(straps, path_xy=path)


def _roi(face: Face, light: Light, patch: Array, straps: Straps) -> tuple[Roi, Roi]:
    """The rectangle of the light's cells that fabric, straps and shadow can touch, and in it that of the fabric."""
    fabric = face.to_image_xy(patch.reshape(-1, 2))
    points = np.concatenate([fabric, straps.path_xy.reshape(-1, 2)])
    pad = 0.07 * face.scale_px + 3  # the contact shadow's reach
    window, cell = np.array(light.window_xyxy), light.cell_px
    low = np.maximum(np.floor((points.min(0) - pad) / cell).astype(int) * cell, window[:2])
    high = np.minimum(np.ceil((points.max(0) + pad) / cell).astype(int) * cell, window[2:])
    pad = 0.04 * face.scale_px + 3  # an edge between the points of the patch, and its blur
    from_xy = np.maximum(np.floor(fabric.min(0) - pad).astype(int), low)
    to_xy = np.minimum(np.ceil(fabric.max(0) + pad).astype(int), high)
    if (to_xy - from_xy).min() < 8:
        raise StageError("the mask would lie outside the image.")
    roi, box = (tuple(int(v) for v in (*a, *b)) for a, b in ((low, high), (from_xy, to_xy)))
    return roi, box  # type: ignore[return-value]


def _warp(face: Face, patch: Array, box: Roi, step: int, template: Template, sign: int) -> tuple[U8, U8]:
    """Fabric (h, w, 4) premultiplied and its slope (h, w) in the box; the map is exact every `step` px.

    With `sign` -1 the template is turned left for right; its slope's sign then is the caller's affair.
    """
    ss, tt = np.meshgrid(S_GRID, T_GRID)
    at = face.to_image_xy(patch.reshape(-1, 2))
    lookup = dense_map(
        Spline(at, template.to_px(sign * ss.ravel(), tt.ravel())), box, step, template.rgba[..., 3], sign
    )
    empty = np.empty((0, 0))
    fabric = cv2.remap(template.rgba, lookup, empty, cv2.INTER_LINEAR)
    slope = cv2.remap(template.slope, lookup, empty, cv2.INTER_LINEAR)
    return np.asarray(fabric, np.uint8), np.asarray(slope, np.uint8)


def _template(recipe: Mapping[str, Any], patch: Array, templates: Mapping[str, UserTemplate] | None) -> Template:
    """The template at about the size at which it will be seen."""
    width_px = 1.1 * float(np.linalg.norm(np.diff(patch, axis=1), axis=2).sum(1).max())
    name = recipe["type"]
    if templates and name in templates:
        return templates[name].at_width(width_px)
    size = next((s for s in _SIZES if s >= width_px), _SIZES[-1])
    return draw(name, int(recipe["variant"]), size, recipe["wear"] == "hanging")
