"""The true 68 landmarks of a rendered face, in iBUG's order."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from synth.demo_faces.parameters import Person, Snapshot
from synth.demo_faces.rendering.view import WARP_STEP, View, turn_radii
from synth.demo_faces.surface import (
    CHIN_Y,
    DENSITY,
    EYE_X,
    X_HALF,
    Y_TOP,
    Array,
    ShellRadii,
    brow_curve,
    eye_half_width,
    lid_curves,
    lip_curves,
    mouth_half_width,
)

# Heights of the jaw points 0 to 8 (ear to chin) as shares of the way from the eyes to the chin.
JAW_Y = (0.005, 0.155, 0.31, 0.46, 0.61, 0.735, 0.83, 0.905, 0.925)
JAW_ANGLE_DEG = (76, 76, 75, 75, 73, 66, 55, 35, 0)


@dataclass(frozen=True)
class Projector:
    """Projection of face points to canvas pixels in one snapshot."""

    radii: ShellRadii
    relief: Array
    field: Array
    view: View

    def __call__(self, x: Array, y: Array, z: Array) -> Array:
        """Return canvas pixels (N, 2) of points (N,) in head units, z towards the camera before the head turns."""
        c, s = np.cos(self.view.yaw), np.sin(self.view.yaw)
        u = np.asarray(x) * c + np.asarray(z) * s
        return np.stack([u * self.view.scale + self.view.ox, np.asarray(y) * self.view.scale + self.view.oy], axis=1)

    def on_face(self, x: Array, y: Array) -> Array:
        """Return canvas pixels (N, 2) of surface points at frontal positions (x, y) (N,) of the neutral face."""
        x, y = np.asarray(x, np.float32), np.asarray(y, np.float32)
        at = ((x + X_HALF) * DENSITY / WARP_STEP)[None], ((y - Y_TOP) * DENSITY / WARP_STEP)[None]
        moved = cv2.remap(self.field, at[0], at[1], cv2.INTER_LINEAR)[0]
        bump = cv2.remap(
            self.relief, ((x + X_HALF) * DENSITY - 0.5)[None], ((y - Y_TOP) * DENSITY - 0.5)[None], cv2.INTER_LINEAR
        )[0]
        mx, my = x + moved[:, 0], y + moved[:, 1]
        a, b = self.radii.at(my)
        z = b * np.sqrt(np.clip(1 - (mx / a) ** 2, 0, 1)) + bump + moved[:, 2]
        return self(mx, my, z)


def _jaw(person: Person, project: Projector) -> Array:
    y_half = np.array(JAW_Y, np.float32) * CHIN_Y * person.face.length
    y = np.concatenate([y_half, y_half[-2::-1]])
    angle = np.radians(np.array(JAW_ANGLE_DEG, np.float32))
    theta = np.concatenate([-angle, angle[-2::-1]])
    _, _, width, shift = turn_radii(project.radii, y, project.view.yaw)
    # The sides of the contour stay on the silhouette when the head turns; the chin turns with it.
    turned = np.clip(theta + shift, -np.pi / 2, np.pi / 2)
    u = width * np.sin(np.where(np.abs(theta) > np.radians(70), theta, turned))
    view = project.view
    return np.stack([u * view.scale + view.ox, y * view.scale + view.oy], axis=1).astype(np.float32)


def _mouth(person: Person, project: Projector) -> Array:
    half = mouth_half_width(person.face)
    t_up = np.array([-0.92, -0.58, -0.22, 0.0, 0.22, 0.58, 0.92], np.float32)
    t_low = np.array([0.62, 0.25, 0.0, -0.25, -0.62], np.float32)
    t_in = np.array([-0.82, -0.28, 0.0, 0.28, 0.82], np.float32)
    t_in_low = np.array([0.30, 0.0, -0.30], np.float32)
    y = [lip_curves(person.face, t_up)[0], lip_curves(person.face, t_low)[2]]
    y += [lip_curves(person.face, t_in)[1], lip_curves(person.face, t_in_low)[1] + 0.012]
    x = np.concatenate([t_up, t_low, t_in, t_in_low]) * half
    return project.on_face(x, np.concatenate(y))


def landmarks_canvas(person: Person, snapshot: Snapshot, project: Projector) -> Array:
    """Return the 68 landmarks (68, 2) in canvas pixels."""
    f = person.face
    brow_t = np.array([0.97, 0.76, 0.52, 0.26, 0.03], np.float32)
    brow_y = brow_curve(person, brow_t) - 0.030 * person.eyes.brow_thickness
    brow_x = 0.19 + 0.68 * brow_t
    left_brow = project.on_face(-brow_x, brow_y)
    right_brow = project.on_face(brow_x[::-1].copy(), brow_y[::-1].copy())
    k = f.nose_length * f.length
    ridge_y = np.array([-0.03, 0.165 * k, 0.355 * k, 0.55 * k], np.float32)
    ridge = project.on_face(np.zeros(4, np.float32), ridge_y)
    wing = np.array([-0.215, -0.11, 0.0, 0.11, 0.215], np.float32) * f.nose_width
    base = project.on_face(wing, np.array([0.115, 0.155, 0.180, 0.155, 0.115], np.float32) + 0.56 * k)
    half = eye_half_width(person)
    t = np.array([0.84, 0.30, -0.34, -0.90, -0.34, 0.30], np.float32)  # from the outer corner over the upper lid
    upper, lower = lid_curves(person, snapshot, t)
    y = np.concatenate([upper[:4], lower[4:]])
    left_eye = project.on_face(-(EYE_X + half * t), y)
    order = [3, 2, 1, 0, 5, 4]
    right_eye = project.on_face((EYE_X + half * t)[order], y[order])
    parts = [_jaw(person, project), left_brow, right_brow, ridge, base, left_eye, right_eye, _mouth(person, project)]
    return np.concatenate(parts).astype(np.float32)
