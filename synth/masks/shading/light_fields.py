"""Fields of the measured light on a region of interest: gain, skin likeness and the contact shadow."""

from __future__ import annotations

import cv2
import numpy as np

from synth.masks.fitting import Array, FaceGeometry
from synth.masks.shading.scene_light import F32, Roi, SceneLight


def gain_field(light: SceneLight, roi_xyxy: Roi) -> F32:
    """Return the (h, w) factor of the light on each ROI pixel; the ROI lies on the light's cells."""
    return _spread(_part(light.gain, light, roi_xyxy, light.cell_px), light.cell_px, roi_xyxy)


def skin_likeness_at(light: SceneLight, xy: Array) -> Array:
    """Return (…,) the likeness of image points (…, 2) to the person's skin, 0 to 1."""
    at = np.rint((xy - light.near_xyxy[:2]) / light.cell_px - 0.5).astype(int)
    x = np.minimum(np.maximum(at[..., 0], 0), light.skin.shape[1] - 1)
    y = np.minimum(np.maximum(at[..., 1], 0), light.skin.shape[0] - 1)
    return np.asarray(light.skin[y, x], np.float64)


def contact_shadow(alpha: F32, face: FaceGeometry, light: SceneLight, roi_xyxy: Roi, strength: float) -> F32:
    """Return the (h, w) factor, up to 1, of a soft dark rim around the fabric, below it and away from the light.

    The shadow falls on face and neck only; the background is too far away.
    """
    step, scale_px = light.cell_px // 2, face.scale_px
    person = _part(light.person, light, roi_xyxy, step)
    h, w = alpha.shape
    down, across = person.shape[0] * step - h, person.shape[1] * step - w
    if down or across:  # at the image border; shrinking by whole numbers is far quicker
        alpha = np.asarray(cv2.copyMakeBorder(alpha, 0, down, 0, across, cv2.BORDER_REPLICATE), np.float32)
    small = cv2.resize(alpha, (person.shape[1], person.shape[0]), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), max(0.022 * scale_px / step, 0.5))
    lower, sideways = 0.018 * scale_px / step, float(np.clip(-light.side, -1, 1)) * 0.015 * scale_px / step
    move = np.array([[1, 0, sideways], [0, 1, lower]])
    small = cv2.warpAffine(small, move, (small.shape[1], small.shape[0]), borderMode=cv2.BORDER_REPLICATE)
    return 1 + _spread(np.asarray(cv2.multiply(small, person, scale=-strength), np.float32), step, roi_xyxy)


def _part(field: F32, light: SceneLight, roi_xyxy: Roi, step: int) -> F32:
    """Return the values of a field, one every `step` px, that cover the ROI."""
    x0, y0, x1, y1 = (v - light.window_xyxy[i % 2] for i, v in enumerate(roi_xyxy))
    return np.ascontiguousarray(field[y0 // step : -(-y1 // step), x0 // step : -(-x1 // step)])


def _spread(part: F32, step: int, roi_xyxy: Roi) -> F32:
    """Interpolate one value every `step` px to (h, w) linearly."""
    x0, y0, x1, y1 = roi_xyxy
    full = cv2.resize(part, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR)
    return np.asarray(full[: y1 - y0, : x1 - x0], dtype=np.float32)
