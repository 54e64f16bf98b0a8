"""What the photo says about its light, sharpness and noise, and how fabric takes that on.

Light is read from the skin as a smooth field (log luminance, low order plus a damped residual), so that side
light and cast shadows stay on the mask while beard, lips and nostrils do not print through. Exposure comes
from the highlights of face and picture, not from the skin's own darkness: a white mask on dark skin is white.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from synth.masks.fitting import Array, Face
from synth.masks.shading.jpeg import Jpeg, read_jpeg
from synth.masks.shading.skin_likeness import is_bearded, skin_likeness

F32 = NDArray[np.floating]  # float32 throughout: half the memory traffic of float64
U8 = NDArray[np.uint8]
Roi = tuple[int, int, int, int]
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_CELLS = 32  # the face is read at 32 x 32: about the size of a cheek's shading, far above its pores
_REACH = 1.7  # of the fields around the face, in face scales: a mask that hangs from an ear reaches furthest
_REACH_EARS = 0.75
# What a white surface reads in most portraits, beside white collars; dark skin or a dark wall say little against it.
_WHITE, _TRUST = 228.0, 0.65
_SIGMAS = np.linspace(0.35, 4.0, 60)
# Contrast of an edge of blur sigma over 4 px relative to that over 1 px: how blurred the photo's edges are.
_RATIOS = erf(4 / (2 * np.sqrt(2) * _SIGMAS)) / erf(1 / (2 * np.sqrt(2) * _SIGMAS))


@dataclass(frozen=True)
class Light:
    """Measured on one photo, for all masks on it. Fields cover `window_xyxy`.

    `gain` and `skin` have one value per cell, `person` four: fields are smooth, and a region of interest on the cells
    takes its part of them by whole numbers. `window_xyxy` and `near_xyxy` begin at multiples of `cell_px`.
    """

    window_xyxy: Roi
    cell_px: int
    gain: F32  # factor of the light, 1 where the skin is well lit
    person: F32  # 1 on face and neck, soft at the border
    near_xyxy: Roi  # around the ears
    skin: F32  # likeness to the cheeks' skin over `near_xyxy`, 0 to 1
    bearded: bool
    exposure: float  # what a white surface in the light would read, 0 to 1
    cast: F32  # (3,) colour of the light, mean 1
    sigma_px: float  # blur of the photo's edges
    noise: float  # standard deviation of its grain, grey levels
    side: float  # slope of the light to the right, log per face scale
    jpeg: Jpeg | None  # how it was compressed, where that can be seen


def crop(image: U8, roi_xyxy: tuple[int, int, int, int], mirrored: bool) -> U8:
    """Contiguous copy of a rectangle of the image, or of the mirrored image; `cv2.flip` is quick, [::-1] is not."""
    x0, y0, x1, y1 = roi_xyxy
    if mirrored:
        return np.asarray(cv2.flip(image[y0:y1, image.shape[1] - x1 : image.shape[1] - x0], 1), np.uint8)
    return np.ascontiguousarray(image[y0:y1, x0:x1])


def read_light(image: U8, face: Face, mirrored: bool) -> Light:
    """Measure light, blur, noise and compression of one photo (H, W, 3) around one face (of the mirrored photo)."""
    pts = face.to_image_xy(face.points_xy)
    low, high = np.floor(pts.min(0)).astype(int), np.ceil(pts.max(0)).astype(int) + 1
    x0, y0 = max(int(low[0]), 0), max(int(low[1]), 0)
    x1, y1 = min(int(high[0]), image.shape[1]), min(int(high[1]), image.shape[0])
    around = crop(image, (x0, y0, x1, y1), mirrored)
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
    face_white = _rank(small[mask > 0] @ _LUMA, 0.97) if mask.any() else 160.0
    thumb = image[::16, :: -16 if mirrored else 16].reshape(-1, 3).astype(np.float32)
    bright = thumb @ _LUMA
    picture_white = _rank(bright, 0.95)
    measured = 0.55 * face_white * 1.18 + 0.45 * _rank(bright, 0.97)  # collars, walls, highlights
    exposure = float(np.clip(_WHITE + _TRUST * (measured - _WHITE), 150.0, 248.0)) / 255
    top = thumb[bright >= picture_white].mean(0)
    cast = np.clip(np.sqrt(np.maximum(top, 1) / max(float(top @ _LUMA), 1)), 0.97, 1.025)
    grey = np.asarray(cv2.cvtColor(around, cv2.COLOR_RGB2GRAY), np.uint8)
    cell = 8 << max(0, int(np.ceil(np.log2(face.scale_px / 300))))  # 8 px for a face of up to 300 px
    window, near = (_window(face, reach, cell, (image.shape[0], image.shape[1])) for reach in (_REACH, _REACH_EARS))
    at = (pts - near[:2]) / cell - 0.5
    skin = skin_likeness(_cells(crop(image, near, mirrored), cell), at)
    return Light(
        window, cell, _gain(face, coef, residual, (x0, y0, x1, y1), window, cell),
        _person(face, window, cell // 2), near, skin, is_bearded(skin, at),
        exposure, cast.astype(np.float32), _blur_sigma(grey), _noise(grey), float(coef[1]),
        read_jpeg(image, (x0, y0, x1, y1), mirrored),
    )  # fmt: skip


def _window(face: Face, reach: float, cell: int, image_hw: tuple[int, int]) -> Roi:
    """The rectangle of whole cells, or up to the picture's end, so many face scales around the nose."""
    centre, reach = face.to_image_xy(face.points_xy[30]), reach * face.scale_px
    low = np.maximum(np.floor((centre - reach) / cell).astype(int) * cell, 0)
    high = np.minimum(np.ceil((centre + reach) / cell).astype(int) * cell, (image_hw[1], image_hw[0]))
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _cells(picture: U8, step: int) -> F32:
    """(h, w, 3) float32 means of squares of `step` px; those that the picture's end cuts are filled up from it."""
    h, w = picture.shape[:2]
    down, across = -h % step, -w % step
    if down or across:
        picture = np.asarray(cv2.copyMakeBorder(picture, 0, down, 0, across, cv2.BORDER_REPLICATE), np.uint8)
    return cv2.resize(picture, None, fx=1 / step, fy=1 / step, interpolation=cv2.INTER_AREA).astype(np.float32)


def _skin_weight(cells_xy: Array) -> F32:
    """(32, 32) weight of skin cells: inside the face, not eyes, brows, mouth; less where beards grow."""
    weight = np.zeros((_CELLS, _CELLS), np.float32)
    hull = cv2.convexHull(np.rint(cells_xy[:27]).astype(np.int32))
    cv2.fillConvexPoly(weight, hull, 1.0)
    for part in (slice(17, 22), slice(22, 27), slice(36, 42), slice(42, 48), slice(48, 60)):
        cv2.fillConvexPoly(weight, cv2.convexHull(np.rint(cells_xy[part]).astype(np.int32)), 0.0)
    beard = np.rint(cells_xy[[2, 33, 14, 12, 10, 8, 6, 4]]).astype(np.int32)
    lower = np.zeros_like(weight)
    cv2.fillPoly(lower, [beard], 1.0)
    return np.asarray(weight * (1 - 0.7 * lower), dtype=np.float32)


def _face_units(xy: Array, face: Face) -> Array:
    """(n, 2) image px → upright, centred, in face scales."""
    return np.asarray((xy - face.centre_xy) @ face.to_image / face.scale_px, dtype=np.float64)


def _design(u: Array) -> Array:
    return np.column_stack([np.ones(len(u)), u[:, 0], u[:, 1], u[:, 0] ** 2])


def _fit_field(u: Array, log: Array, weight: Array) -> tuple[Array, Array]:
    """Robust weighted least squares (Cauchy weights, two rounds): coefficients with lit skin at 0, residual."""
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
    coef[0] = -_rank((design[:, 1:] @ coef[1:])[keep], 0.65)
    return coef, rest


def _gain(face: Face, coef: Array, residual: F32, box_xyxy: Roi, window: Roi, cell: int) -> F32:
    """(h, w) factor of the light on each cell: `coef` @ [1, x, y, x²] in face units, and the residual of the box."""
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


def gain_field(light: Light, roi_xyxy: Roi) -> F32:
    """(h, w) factor of the light on each ROI pixel; the ROI lies on the light's cells."""
    return _spread(_part(light.gain, light, roi_xyxy, light.cell_px), light.cell_px, roi_xyxy)


def skin_at(light: Light, xy: Array) -> Array:
    """(…,) how much image points (…, 2) look like the person's skin."""
    at = np.rint((xy - light.near_xyxy[:2]) / light.cell_px - 0.5).astype(int)
    x = np.minimum(np.maximum(at[..., 0], 0), light.skin.shape[1] - 1)
    y = np.minimum(np.maximum(at[..., 1], 0), light.skin.shape[0] - 1)
    return np.asarray(light.skin[y, x], np.float64)


def _part(field: F32, light: Light, roi_xyxy: Roi, step: int) -> F32:
    """The values of a field, one every `step` px, that cover the ROI."""
    x0, y0, x1, y1 = (v - light.window_xyxy[i % 2] for i, v in enumerate(roi_xyxy))
    return np.ascontiguousarray(field[y0 // step : -(-y1 // step), x0 // step : -(-x1 // step)])


def _spread(part: F32, step: int, roi_xyxy: Roi) -> F32:
    """One value every `step` px → (h, w), linear in between."""
    x0, y0, x1, y1 = roi_xyxy
    full = cv2.resize(part, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR)
    return np.asarray(full[: y1 - y0, : x1 - x0], dtype=np.float32)


def _blur_sigma(grey: U8) -> float:
    """Gaussian sigma, px, of the sharpest edges: contrast over 4 px against contrast over 1 px."""
    g = grey[::3].astype(np.int16)
    if g.shape[1] < 12:
        return 0.5
    one, four = np.abs(g[:, 1:] - g[:, :-1]), np.abs(g[:, 4:] - g[:, :-4])
    ratio = _rank(four, 0.99) / max(_rank(one, 0.99), 1.0)
    return float(np.interp(ratio, _RATIOS, _SIGMAS))


def _noise(grey: U8) -> float:
    """Grain, grey levels: median of the Laplacian-difference operator (Immerkaer 1996), robust to edges."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    h = grey.shape[0]
    band = grey[h // 3 : h // 3 + max(h // 4, 4)]  # the cheeks under the eyes
    response = cv2.filter2D(band, cv2.CV_32F, kernel)
    return _rank(np.abs(response), 0.5) / 0.6745 / 6.0


def _rank(values: NDArray[Any], share: float) -> float:
    """The value that `share` of all lie below; without np.percentile's interpolation, which costs more."""
    flat = values.ravel()
    at = min(int(share * flat.size), flat.size - 1)
    return float(np.partition(flat, at)[at])


def contact_shadow(alpha: F32, face: Face, light: Light, roi_xyxy: Roi, strength: float) -> F32:
    """(h, w) factor up to 1 on the photo: a soft dark rim around the fabric, lower and away from the light.

    It falls on face and neck; what is behind them is too far away.
    """
    step, scale_px = light.cell_px // 2, face.scale_px
    person = _part(light.person, light, roi_xyxy, step)
    h, w = alpha.shape
    down, across = person.shape[0] * step - h, person.shape[1] * step - w
    if down or across:  # at the picture's end; shrinking by whole numbers is far quicker
        alpha = np.asarray(cv2.copyMakeBorder(alpha, 0, down, 0, across, cv2.BORDER_REPLICATE), np.float32)
    small = cv2.resize(alpha, (person.shape[1], person.shape[0]), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), max(0.022 * scale_px / step, 0.5))
    lower, sideways = 0.018 * scale_px / step, float(np.clip(-light.side, -1, 1)) * 0.015 * scale_px / step
    move = np.array([[1, 0, sideways], [0, 1, lower]])
    small = cv2.warpAffine(small, move, (small.shape[1], small.shape[0]), borderMode=cv2.BORDER_REPLICATE)
    return 1 + _spread(np.asarray(cv2.multiply(small, person, scale=-strength), np.float32), step, roi_xyxy)


def _person(face: Face, window: Roi, step: int) -> F32:
    """(h, w) 1 on face and neck, soft at the border, one value every `step` px."""
    jaw = face.points_xy[:17]
    down = [0.0, 0.7 * face.scale_px]  # a neck is about as long as its chin is wide
    outline = np.vstack([face.points_xy[17:27][::-1], jaw[:4], jaw[4:6] + down, jaw[11:13] + down, jaw[13:]])
    at = (face.to_image_xy(outline) - window[:2]) / step
    x0, y0, x1, y1 = window
    there = np.zeros((-(-(y1 - y0) // (2 * step)) * 2, -(-(x1 - x0) // (2 * step)) * 2), np.float32)
    cv2.fillPoly(there, [np.rint(at).astype(np.int32)], 1.0)
    return np.asarray(cv2.blur(there, (5, 5)), np.float32)
