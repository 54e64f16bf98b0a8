"""Light, sharpness and noise of a photo, measured around one face.

Light is measured on the skin as a smooth field (log luminance, low order plus a damped residual), so that side light
and cast shadows stay on the mask while beard, lips and nostrils do not show through. Exposure comes from the highlights
of face and image, not from the darkness of the skin: a white mask on dark skin is white.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from synth.masks.fitting import Array, FaceGeometry
from synth.masks.shading.jpeg import Jpeg, measure_jpeg
from synth.masks.shading.skin_likeness import is_bearded, skin_likeness

F32 = NDArray[np.floating]  # float32 throughout: half the memory traffic of float64
U8 = NDArray[np.uint8]
Roi = tuple[int, int, int, int]
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_CELLS = 32  # the face is measured at 32 x 32: about the scale of a cheek's shading, far above its pores
_REACH = 1.7  # half side of the fields around the face, in face scales; a mask hanging from an ear reaches furthest
_REACH_EARS = 0.75
# Level of a white surface in most portraits, and weight of the photo's own highlights: dark skin or walls show little.
_WHITE, _TRUST = 228.0, 0.65
_SIGMAS = np.linspace(0.35, 4.0, 60)
# Contrast of an edge of blur sigma over 4 px relative to that over 1 px, which measures the blur.
_RATIOS = erf(4 / (2 * np.sqrt(2) * _SIGMAS)) / erf(1 / (2 * np.sqrt(2) * _SIGMAS))


@dataclass(frozen=True)
class SceneLight:
    """Light of one photo, shared by all masks on it. Fields cover `window_xyxy`.

    `gain` and `skin` have one value per cell, `person` four. Fields are smooth, and a region of interest that lies on
    the cells takes its part by whole numbers. `window_xyxy` and `near_xyxy` begin at multiples of `cell_px`.
    """

    window_xyxy: Roi
    cell_px: int
    gain: F32  # factor of the light, 1 on well-lit skin
    person: F32  # 1 on face and neck, soft at the border
    near_xyxy: Roi  # around the ears
    skin: F32  # likeness to the cheeks' skin over `near_xyxy`, 0 to 1
    bearded: bool
    exposure: float  # level of a white surface in this light, 0 to 1
    cast: F32  # (3,) colour of the light, mean 1
    sigma_px: float  # blur of the photo's edges
    noise: float  # standard deviation of its grain, grey levels
    side: float  # slope of the light to the right, log per face scale
    jpeg: Jpeg | None  # compression of the photo, None if it cannot be measured


def crop_region(image: U8, roi_xyxy: tuple[int, int, int, int], mirrored: bool) -> U8:
    """Copy a rectangle of the image, or of the mirrored image, contiguously (`cv2.flip` is faster than [::-1])."""
    x0, y0, x1, y1 = roi_xyxy
    if mirrored:
        return np.asarray(cv2.flip(image[y0:y1, image.shape[1] - x1 : image.shape[1] - x0], 1), np.uint8)
    return np.ascontiguousarray(image[y0:y1, x0:x1])


def measure_light(image: U8, face: FaceGeometry, mirrored: bool) -> SceneLight:
    """Measure light, blur, noise and compression of one photo (H, W, 3) around one face (of the mirrored photo)."""
    pts = face.to_image_xy(face.points_xy)
    low, high = np.floor(pts.min(0)).astype(int), np.ceil(pts.max(0)).astype(int) + 1
    x0, y0 = max(int(low[0]), 0), max(int(low[1]), 0)
    x1, y1 = min(int(high[0]), image.shape[1]), min(int(high[1]), image.shape[0])
    around = crop_region(image, (x0, y0, x1, y1), mirrored)
    small = cv2.resize(around, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA).astype(np.float32)
    log = np.log(small @ _LUMA + 6.0)
    to_cell = np.array([_CELLS / (x1 - x0), _CELLS / (y1 - y0)])
    weight = _skin_weight((pts - (x0, y0)) * to_cell)
    gx, gy = np.meshgrid((np.arange(_CELLS) + 0.5) / to_cell[0] + x0, (np.arange(_CELLS) + 0.5) / to_cell[1] + y0)
    u = _face_units(np.column_stack([gx.ravel(), gy.ravel()]), face)
    coef, rest = _fit_field(u, log.ravel().astype(np.float64), weight.ravel().astype(np.float64))
    mask = (weight > 0).astype(np.float32)
    rest = np.clip(rest.reshape(_CELLS, _CELLS), -0.35, 0.35).astype(np.float32)
    spread = cv2.GaussianBlur(np.dstack([rest * weight, weight]), (0, 0), 2.5)
    residual = np.asarray(0.4 * spread[..., 0] / (spread[..., 1] + 0.05), np.float32)
    face_white = _quantile(small[mask > 0] @ _LUMA, 0.97) if mask.any() else 160.0
    thumb = image[::16, :: -16 if mirrored else 16].reshape(-1, 3).astype(np.float32)
    bright = thumb @ _LUMA
    picture_white = _quantile(bright, 0.95)
    measured = 0.55 * face_white * 1.18 + 0.45 * _quantile(bright, 0.97)  # collars, walls, highlights
    exposure = float(np.clip(_WHITE + _TRUST * (measured - _WHITE), 150.0, 248.0)) / 255
    top = thumb[bright >= picture_white].mean(0)
    cast = np.clip(np.sqrt(np.maximum(top, 1) / max(float(top @ _LUMA), 1)), 0.97, 1.025)
    grey = np.asarray(cv2.cvtColor(around, cv2.COLOR_RGB2GRAY), np.uint8)
    cell = 8 << max(0, int(np.ceil(np.log2(face.scale_px / 300))))  # 8 px for a face of up to 300 px
    window, near = (_window(face, reach, cell, (image.shape[0], image.shape[1])) for reach in (_REACH, _REACH_EARS))
    at = (pts - near[:2]) / cell - 0.5
    skin = skin_likeness(_cells(crop_region(image, near, mirrored), cell), at)
    return SceneLight(
        window, cell, _gain(face, coef, residual, (x0, y0, x1, y1), window, cell),
        _person(face, window, cell // 2), near, skin, is_bearded(skin, at),
        exposure, cast.astype(np.float32), _blur_sigma(grey), _noise(grey), float(coef[1]),
        measure_jpeg(image, (x0, y0, x1, y1), mirrored),
    )  # fmt: skip


def _window(face: FaceGeometry, reach: float, cell: int, image_hw: tuple[int, int]) -> Roi:
    """Return the rectangle of whole cells, clipped to the image, that many face scales around the nose."""
    centre, reach = face.to_image_xy(face.points_xy[30]), reach * face.scale_px
    low = np.maximum(np.floor((centre - reach) / cell).astype(int) * cell, 0)
    high = np.minimum(np.ceil((centre + reach) / cell).astype(int) * cell, (image_hw[1], image_hw[0]))
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _cells(picture: U8, step: int) -> F32:
    """Return (h, w, 3) float32 means of squares of `step` px; squares cut by the border are padded from it."""
    h, w = picture.shape[:2]
    down, across = -h % step, -w % step
    if down or across:
        picture = np.asarray(cv2.copyMakeBorder(picture, 0, down, 0, across, cv2.BORDER_REPLICATE), np.uint8)
    return cv2.resize(picture, None, fx=1 / step, fy=1 / step, interpolation=cv2.INTER_AREA).astype(np.float32)


def _skin_weight(cells_xy: Array) -> F32:
    """Return (32, 32) weights of skin cells: inside the face, not eyes, brows or mouth; lower where beards grow."""
    weight = np.zeros((_CELLS, _CELLS), np.float32)
    hull = cv2.convexHull(np.rint(cells_xy[:27]).astype(np.int32))
    cv2.fillConvexPoly(weight, hull, 1.0)
    for part in (slice(17, 22), slice(22, 27), slice(36, 42), slice(42, 48), slice(48, 60)):
        cv2.fillConvexPoly(weight, cv2.convexHull(np.rint(cells_xy[part]).astype(np.int32)), 0.0)
    beard = np.rint(cells_xy[[2, 33, 14, 12, 10, 8, 6, 4]]).astype(np.int32)
    lower = np.zeros_like(weight)
    cv2.fillPoly(lower, [beard], 1.0)
    return np.asarray(weight * (1 - 0.7 * lower), dtype=np.float32)


def _face_units(xy: Array, face: FaceGeometry) -> Array:
    """Convert (n, 2) image px to upright, centred points in face scales."""
    return np.asarray((xy - face.centre_xy) @ face.to_image / face.scale_px, dtype=np.float64)


def _design(u: Array) -> Array:
    return np.column_stack([np.ones(len(u)), u[:, 0], u[:, 1], u[:, 0] ** 2])


def _fit_field(u: Array, log: Array, weight: Array) -> tuple[Array, Array]:
    """Fit by robust weighted least squares (Cauchy weights): coefficients with lit skin at 0, and the residual."""
    keep = weight > 0
    if keep.sum() < 30:
        return np.zeros(4), np.zeros_like(log)
    design, robust = _design(u), weight.copy()
    ridge = np.diag([1e-6, 0.5, 2.0, 4.0])
    for _ in range(3):
        weighted = design * robust[:, None]
        coef = np.linalg.solve(design.T @ weighted + ridge, weighted.T @ log)
        rest = log - design @ coef
        robust = weight / (1 + (rest / 0.12) ** 2)
    coef = coef * np.array([1.0, 1.0, 0.5, 0.7])
    coef[1] = np.clip(coef[1], -1.6, 1.6)
    coef[2] = np.clip(coef[2], -0.5, 0.5)
    coef[3] = np.clip(coef[3], -2.0, 0.3)
    coef[0] = -_quantile((design[:, 1:] @ coef[1:])[keep], 0.65)
    return coef, rest


def _gain(face: FaceGeometry, coef: Array, residual: F32, box_xyxy: Roi, window: Roi, cell: int) -> F32:
    """Return the (h, w) factor of the light per cell: `coef` @ [1, x, y, x²] in face units, plus the box's residual."""
    x0, y0, x1, y1 = window
    gx = x0 + (np.arange(-(-(x1 - x0) // cell)) + 0.5) * cell - 0.5
    gy = y0 + (np.arange(-(-(y1 - y0) // cell)) + 0.5) * cell - 0.5
    xx, yy = np.broadcast_arrays(gx, gy[:, None])
    u = _face_units(np.column_stack([xx.ravel(), yy.ravel()]), face)
    smooth = np.clip(_design(np.clip(u, -0.75, 0.75)) @ coef, -1.1, 0.10).reshape(xx.shape)
    bx0, by0, bx1, by1 = box_xyxy
    at_x = ((xx - bx0) * _CELLS / (bx1 - bx0) - 0.5).astype(np.float32)
    at_y = ((yy - by0) * _CELLS / (by1 - by0) - 0.5).astype(np.float32)
    rest = cv2.remap(residual, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.exp(smooth + rest), dtype=np.float32)


def _blur_sigma(grey: U8) -> float:
    """Return the Gaussian sigma, px, of the sharpest edges: contrast over 4 px against contrast over 1 px."""
    g = grey[::3].astype(np.int16)
    if g.shape[1] < 12:
        return 0.5
    one, four = np.abs(g[:, 1:] - g[:, :-1]), np.abs(g[:, 4:] - g[:, :-4])
    ratio = _quantile(four, 0.99) / max(_quantile(one, 0.99), 1.0)
    return float(np.interp(ratio, _RATIOS, _SIGMAS))


def _noise(grey: U8) -> float:
    """Return the grain in grey levels: median of the Laplacian difference (Immerkaer 1996), robust to edges."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    h = grey.shape[0]
    band = grey[h // 3 : h // 3 + max(h // 4, 4)]  # the cheeks under the eyes
    response = cv2.filter2D(band, cv2.CV_32F, kernel)
    return _quantile(np.abs(response), 0.5) / 0.6745 / 6.0


def _quantile(values: NDArray[Any], share: float) -> float:
    """Return the quantile `share` without interpolation, which makes np.percentile slower."""
    flat = values.ravel()
    at = min(int(share * flat.size), flat.size - 1)
    return float(np.partition(flat, at)[at])


def _person(face: FaceGeometry, window: Roi, step: int) -> F32:
    """Return (h, w), 1 on face and neck, soft at the border, one value every `step` px."""
    jaw = face.points_xy[:17]
    down = [0.0, 0.7 * face.scale_px]  # a neck is about as long as its chin is wide
    outline = np.vstack([face.points_xy[17:27][::-1], jaw[:4], jaw[4:6] + down, jaw[11:13] + down, jaw[13:]])
    at = (face.to_image_xy(outline) - window[:2]) / step
    x0, y0, x1, y1 = window
    there = np.zeros((-(-(y1 - y0) // (2 * step)) * 2, -(-(x1 - x0) // (2 * step)) * 2), np.float32)
    cv2.fillPoly(there, [np.rint(at).astype(np.int32)], 1.0)
    return np.asarray(cv2.blur(there, (5, 5)), np.float32)
