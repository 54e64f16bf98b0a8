"""Composition of one masked face from an image and its landmarks: composite, alpha, parameters and coverage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import StageError
from synth.masks.coverage import coverage_scores
from synth.masks.drawing import Template, draw_template
from synth.masks.fabric import fit_fabric
from synth.masks.fitting import (
    NO_STRAPS,
    S_GRID,
    T_GRID,
    Array,
    FaceGeometry,
    Straps,
    ThinPlateSpline,
    check_no_folds,
    dense_map,
    hanging_straps,
    hide_behind_hair,
    inside_share,
    measure_face,
    worn_straps,
)
from synth.masks.parameters import find_mask_type, sample_parameters
from synth.masks.placement import check_coverage
from synth.masks.shading import SceneLight, crop_region, measure_light, shade_and_blend, skin_likeness_at
from synth.masks.types import MaskType
from synth.masks.user_templates import UserTemplate

F32 = NDArray[np.floating]  # float32 throughout: half the memory traffic of float64
U8 = NDArray[np.uint8]
Roi = tuple[int, int, int, int]

ATTEMPTS = 4
"""Draws per face. A refused draw is a mask outside the limits of its placement, not an unusable face."""
_SIZES = (96, 144, 192, 288, 432, 648, 972)
# iBUG 300-W points after a left-right mirror: the new point i is the old point MIRROR_INDEX[i].
MIRROR_INDEX = np.array(
    [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, *range(35, 30, -1), 45, 44, 43, 42, 47, 46,
     39, 38, 37, 36, 41, 40, *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1)]
)  # fmt: skip


@dataclass(frozen=True)
class Composite:
    """A masked photo: `image` (H, W, 3) uint8 RGB, `alpha_roi` (h, w) float32 of fabric and straps in `roi_xyxy`.

    `parameters` rebuild it with `render_mask`; `coverage` has the scores of nose, mouth and chin; `inside_share` is the
    share of the fabric within the picture, which is small for a mask on the neck of a tight crop.
    """

    image: U8
    alpha_roi: F32
    parameters: dict[str, Any]
    coverage: dict[str, float]
    roi_xyxy: Roi
    inside_share: float

    @property
    def alpha(self) -> F32:
        """Alpha of the whole image, (H, W) float32, 0 outside the ROI."""
        x0, y0, x1, y1 = self.roi_xyxy
        full = np.zeros(self.image.shape[:2], np.float32)
        full[y0:y1, x0:x1] = self.alpha_roi
        return full


@dataclass(frozen=True)
class Scene:
    """Measurements of one photo and its landmarks, shared by all masks on the same face."""

    face: FaceGeometry
    light: SceneLight
    mirrored: bool  # work on the mirrored photo, so that everything random mirrors with the face


def measure_scene(image: U8, landmarks_xy: NDArray[np.floating]) -> Scene:
    """Check image and landmarks and measure the light. Raises StageError with a one-line reason."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise StageError(f"image must be (H, W, 3) uint8 RGB. Got {image.shape} {image.dtype} instead.")
    # Steps of 1/256 px are exact in float32 and under width - 1 - x: a mirrored face gives mirrored numbers.
    points = np.rint(np.asarray(landmarks_xy, dtype=np.float64) * 256) / 256
    mirrored = _leans_left(points)
    if mirrored:
        points = np.column_stack([image.shape[1] - 1 - points[:, 0], points[:, 1]])[MIRROR_INDEX]
    face = measure_face(points, (image.shape[0], image.shape[1]))
    return Scene(face, measure_light(image, face, mirrored), mirrored)


def compose(
    image: U8,
    landmarks_xy: NDArray[np.floating],
    *,
    mask_type: str = "surgical_blue",
    placement: str = "worn",
    seed: int = 0,
    templates: Mapping[str, UserTemplate] | None = None,
    scene: Scene | None = None,
) -> Composite:
    """Put one mask on one face.

    `image` is (H, W, 3) uint8 RGB, `landmarks_xy` (68, 2) px in iBUG order. Pass `scene`, the `measure_scene` of the
    two, to put several masks on one face. The same input and seed give the same bytes; a mirrored input gives the
    mirrored output. Raises StageError, in one line, for an unknown name, for landmarks that cannot carry a mask, and
    if no draw of the seed shows the placement.
    """
    scene = scene or measure_scene(image, landmarks_xy)
    refused: StageError | None = None
    for attempt in range(ATTEMPTS):
        parameters = sample_parameters(mask_type, placement, seed, attempt, templates)
        try:
            return render_mask(image, scene, parameters, templates=templates)
        except RefusedDrawError as error:
            refused = error
    assert refused is not None
    raise refused


class RefusedDrawError(StageError):
    """A draw that folds, or whose coverage contradicts its placement; another attempt may succeed."""


def render_mask(
    image: U8,
    scene: Scene,
    parameters: Mapping[str, Any],
    *,
    templates: Mapping[str, UserTemplate] | None = None,
) -> Composite:
    """Rebuild a composite from its parameters, with the same bytes as `compose`. Raises StageError as `compose`."""
    kind = find_mask_type(parameters["type"], templates)
    face, light = scene.face, scene.light
    try:
        patch, straps = _fit(face, light, kind, parameters)
        roi, box = _roi(face, light, patch, straps)
        template = _template(parameters, patch, templates)
        fabric, slope = _warp(face, patch, box, light.cell_px * 3 // 2, template, -1 if parameters["flipped"] else 1)
        coverage = coverage_scores(fabric[..., 3], box[:2], face)
        check_coverage(parameters["wear"], coverage)
    except StageError as error:
        raise RefusedDrawError(str(error)) from error
    x0, y0, x1, y1 = roi
    out = image.copy()
    photo = crop_region(image, roi, scene.mirrored)
    strap_rgb = template.mean_rgb if kind.straps == "cut" else parameters["strap_colour"]
    done, both = shade_and_blend(photo, fabric, slope, box, straps, strap_rgb, face, light, roi, parameters)
    if scene.mirrored:
        done, both = np.asarray(cv2.flip(done, 1), np.uint8), np.asarray(cv2.flip(both, 1), np.float32)
        x0, x1 = image.shape[1] - x1, image.shape[1] - x0
    out[y0:y1, x0:x1] = done
    share = inside_share(face.to_image_xy(patch), image.shape[:2])
    return Composite(out, both, dict(parameters), coverage, (x0, y0, x1, y1), share)


def _leans_left(points: Array) -> bool:
    """Return whether the points' mean lies in the left half of their bounding box: the handedness of the face."""
    if points.shape != (68, 2):
        return False  # measure_face raises the error
    return bool(points[:, 0].mean() < 0.5 * (points[:, 0].min() + points[:, 0].max()))


def _fit(face: FaceGeometry, light: SceneLight, kind: MaskType, parameters: Mapping[str, Any]) -> tuple[Array, Straps]:
    """Return the patch (5, 9, 2), upright, and the straps, in image px."""
    width_px = float(parameters["strap_share"]) * face.scale_px
    patch, hang = fit_fabric(face, parameters)
    if hang is not None:
        straps = hanging_straps(face, patch, kind, width_px, hang.side, hang.loop)
    else:
        straps = worn_straps(face, patch, kind, width_px, float(parameters["strap_bow"]))
    check_no_folds(patch, face.scale_px)
    if kind.straps == "none":
        return patch, NO_STRAPS
    path = face.to_image_xy(straps.path_xy)
    if hang is None:
        beard = light.bearded & (straps.path_xy[..., 1] > face.points_xy[51, 1])
        straps = hide_behind_hair(straps, skin_likeness_at(light, path), beard)
    return patch, replace(straps, path_xy=path)


def _roi(face: FaceGeometry, light: SceneLight, patch: Array, straps: Straps) -> tuple[Roi, Roi]:
    """Return the rectangle, on the light's cells, that fabric, straps and shadow can touch, and that of the fabric."""
    fabric = face.to_image_xy(patch.reshape(-1, 2))
    points = np.concatenate([fabric, straps.path_xy.reshape(-1, 2)])
    pad = 0.07 * face.scale_px + 3  # reach of the contact shadow
    window, cell = np.array(light.window_xyxy), light.cell_px
    low = np.maximum(np.floor((points.min(0) - pad) / cell).astype(int) * cell, window[:2])
    high = np.minimum(np.ceil((points.max(0) + pad) / cell).astype(int) * cell, window[2:])
    pad = 0.04 * face.scale_px + 3  # edges between the points of the patch, and their blur
    from_xy = np.maximum(np.floor(fabric.min(0) - pad).astype(int), low)
    to_xy = np.minimum(np.ceil(fabric.max(0) + pad).astype(int), high)
    if (to_xy - from_xy).min() < 8:
        raise StageError("the mask lies outside the image. Leave more room around the face.")
    roi, box = (tuple(int(v) for v in (*a, *b)) for a, b in ((low, high), (from_xy, to_xy)))
    return roi, box  # type: ignore[return-value]


def _warp(face: FaceGeometry, patch: Array, box: Roi, step: int, template: Template, sign: int) -> tuple[U8, U8]:
    """Return fabric (h, w, 4) premultiplied and its slope (h, w) in the box; the map is exact every `step` px.

    `sign` -1 mirrors the template left to right; the caller then changes the sign of the slope.
    """
    ss, tt = np.meshgrid(S_GRID, T_GRID)
    at = face.to_image_xy(patch.reshape(-1, 2))
    lookup = dense_map(
        ThinPlateSpline(at, template.to_px(sign * ss.ravel(), tt.ravel())), box, step, template.rgba[..., 3], sign
    )
    empty = np.empty((0, 0))
    fabric = cv2.remap(template.rgba, lookup, empty, cv2.INTER_LINEAR)
    slope = cv2.remap(template.slope, lookup, empty, cv2.INTER_LINEAR)
    return np.asarray(fabric, np.uint8), np.asarray(slope, np.uint8)


def _template(parameters: Mapping[str, Any], patch: Array, templates: Mapping[str, UserTemplate] | None) -> Template:
    """Return the template at about its size in the image."""
    width_px = 1.1 * float(np.linalg.norm(np.diff(patch, axis=1), axis=2).sum(1).max())
    name = parameters["type"]
    if templates and name in templates:
        return templates[name].at_width(width_px)
    size = next((s for s in _SIZES if s >= width_px), _SIZES[-1])
    return draw_template(name, int(parameters["variant"]), size, parameters["wear"] == "hanging")
