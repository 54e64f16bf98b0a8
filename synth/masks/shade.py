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

from synth.masks.fit import Array, Face

F32 = NDArray[np.floating]  # float32 throughout: half the memory traffic of float64
U8 = NDArray[np.uint8]
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_CELLS = 32  # the face is read at 32 x 32: about the size of a cheek's shading, far above its pores
_GRID_PX = 12
_SIGMAS = np.linspace(0.35, 4.0, 60)
# Contrast of an edge of blur sigma over 4 px relative to that over 1 px: how blurred the photo's edges are.
_RATIOS = erf(4 / (2 * np.sqrt(2) * _SIGMAS)) / erf(1 / (2 * np.sqrt(2) * _SIGMAS))


@dataclass(frozen=True)
class Light:
    """Measured on one photo. Coordinates of the field are upright and centred on the face, in face scales."""

    coef: Array  # (4,) log gain = coef @ [1, x, y, x²], 0 where the skin is well lit
    residual: F32  # (32, 32) damped log residual over `box_xyxy`
    box_xyxy: tuple[float, float, float, float]
    exposure: float  # what a white surface in the light would read, 0 to 1
    cast: F32  # (3,) colour of the light, mean 1
    sigma_px: float  # blur of the photo's edges
    noise: float  # standard deviation of its grain, grey levels
    side: float  # slope of the light to the right, log per face scale


def crop(image: U8, roi_xyxy: tuple[int, int, int, int], mirrored: bool) -> U8:
    """Contiguous copy of a rectangle of the image, or of the mirrored image; `cv2.flip` is quick, [::-1] is not."""
    x0, y0, x1, y1 = roi_xyxy
    if mirrored:
        return np.asarray(cv2.flip(image[y0:y1, image.shape[1] - x1 : image.shape[1] - x0], 1), np.uint8)
    return np.ascontiguousarray(image[y0:y1, x0:x1])


def read_light(image: U8, face: Face, mirrored: bool) -> Light:
    """Measure light, blur and noise of one photo (H, W, 3) around one face (of the mirrored photo)."""
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
    residual = 0.4 * spread[..., 0] / (spread[..., 1] + 0.05)
    face_white = _rank(small[mask > 0] @ _LUMA, 0.97) if mask.any() else 160.0
    thumb = image[::16, :: -16 if mirrored else 16].reshape(-1, 3).astype(np.float32)
    bright = thumb @ _LUMA
    picture_white = _rank(bright, 0.95)
    exposure = float(np.clip(0.7 * face_white * 1.18 + 0.3 * picture_white, 125.0, 250.0)) / 255
    top = thumb[bright >= picture_white].mean(0)
    cast = np.clip(np.sqrt(np.maximum(top, 1) / max(float(top @ _LUMA), 1)), 0.97, 1.025)
    grey = np.asarray(cv2.cvtColor(around, cv2.COLOR_RGB2GRAY), np.uint8)
    return Light(
        coef, residual.astype(np.float32), (x0, y0, x1, y1), exposure, cast.astype(np.float32),
        _blur_sigma(grey), _noise(grey), float(coef[1]),
    )  # fmt: skip


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


def gain_field(light: Light, face: Face, roi_xyxy: tuple[int, int, int, int]) -> F32:
    """(h, w) factor of the light on each ROI pixel, from a grid of one value every 12 px."""
    x0, y0, x1, y1 = roi_xyxy
    w, h = x1 - x0, y1 - y0
    nx, ny = max(2, w // _GRID_PX), max(2, h // _GRID_PX)
    gx, gy = np.meshgrid(x0 + (np.arange(nx) + 0.5) * w / nx - 0.5, y0 + (np.arange(ny) + 0.5) * h / ny - 0.5)
    u = _face_units(np.column_stack([gx.ravel(), gy.ravel()]), face)
    smooth = np.clip(_design(np.clip(u, -0.75, 0.75)) @ light.coef, -1.1, 0.10).reshape(ny, nx)
    bx0, by0, bx1, by1 = light.box_xyxy
    at_x = ((gx - bx0) * _CELLS / (bx1 - bx0) - 0.5).astype(np.float32)
    at_y = ((gy - by0) * _CELLS / (by1 - by0) - 0.5).astype(np.float32)
    rest = cv2.remap(light.residual, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    field = np.exp(smooth + rest).astype(np.float32)
    return np.asarray(cv2.resize(field, (w, h), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


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


def contact_shadow(alpha: F32, face: Face, roi_xyxy: tuple[int, int, int, int], strength: float, side: float) -> F32:
    """(h, w) factor up to 1 on the photo: a soft dark rim around the fabric, lower and away from the light.

    It falls on face and neck; what is behind them is too far away.
    """
    step, scale_px = 4, face.scale_px
    h, w = alpha.shape
    small = cv2.resize(alpha, (max(w // step, 1), max(h // step, 1)), interpolation=cv2.INTER_AREA)
    down, across = 0.018 * scale_px / step, float(np.clip(-side, -1, 1)) * 0.015 * scale_px / step
    small = cv2.GaussianBlur(small, (0, 0), max(0.022 * scale_px / step, 0.5))
    move = np.array([[1, 0, across], [0, 1, down]])
    small = cv2.warpAffine(small, move, (small.shape[1], small.shape[0]), borderMode=cv2.BORDER_REPLICATE)
    small = cv2.multiply(small, _person(face, roi_xyxy, (small.shape[1], small.shape[0])), scale=-strength)
    return np.asarray(1 + cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _person(face: Face, roi_xyxy: tuple[int, int, int, int], size_wh: tuple[int, int]) -> F32:
    """(h, w) 1 on face and neck, soft at the border, over the ROI at a smaller size."""
    x0, y0, x1, y1 = roi_xyxy
    jaw = face.points_xy[:17]
    down = [0.0, 0.7 * face.scale_px]  # a neck is about as long as its chin is wide
    outline = np.vstack([face.points_xy[17:27][::-1], jaw[:4], jaw[4:6] + down, jaw[11:13] + down, jaw[13:]])
    at = (face.to_image_xy(outline) - (x0, y0)) * (size_wh[0] / (x1 - x0), size_wh[1] / (y1 - y0))
    there = np.zeros((size_wh[1], size_wh[0]), np.float32)
    cv2.fillPoly(there, [np.rint(at).astype(np.int32)], 1.0)
    return np.asarray(cv2.blur(there, (5, 5)), np.float32)
