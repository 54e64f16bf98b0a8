"""The head as a surface: an elliptic cylinder whose radii change with height, plus a relief of facial features.

A point of the face is (x, y) in the frontal view; its depth is b(y) * sqrt(1 - (x / a(y))^2) + relief(x, y). Turning
the head by `yaw` has a closed form for the cylinder; the relief is added by fixed-point steps (`rendering/layers.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth.demo_faces.parameters import FaceShape, Person
from synth.demo_faces.surface.grid import Array, Grid, smoothstep, spline

EYE_X = 0.5  # by definition of the unit
EYE_WIDTH = 0.218  # half of the lid opening
MOUTH_Y = 1.065
CHIN_Y = 1.87
CROWN_Y = -1.72


Knots = list[tuple[float, float]]


@dataclass(frozen=True)
class ShellRadii:
    """Radii of an elliptic shell: half-width `a` and front depth `b` at heights `y`, (N,) each."""

    y: Array
    a: Array
    b: Array

    @classmethod
    def through(cls, a_knots: Knots, b_knots: Knots) -> ShellRadii:
        """Interpolate knots of (y, radius) smoothly. Squared radii are interpolated, which keeps the ends round."""
        ends = min(k[0] for k in a_knots), max(k[0] for k in a_knots)
        y = np.linspace(*ends, 600, dtype=np.float32)
        a, b = (spline(np.array(sorted((at, r * r) for at, r in knots)), y) for knots in (a_knots, b_knots))
        return cls(y, np.sqrt(np.maximum(a, 1e-4)), np.sqrt(np.maximum(b, 1e-4)))

    def at(self, y: Array) -> tuple[Array, Array]:
        """Return the radii (a, b) at heights `y` of any shape, always positive."""
        return np.interp(y, self.y, self.a).astype(np.float32), np.interp(y, self.y, self.b).astype(np.float32)

    @property
    def span(self) -> tuple[float, float]:
        """Top and bottom y."""
        return float(self.y[0]), float(self.y[-1])


def head_radii(person: Person) -> ShellRadii:
    """Return the radii of the head without ears and hair."""
    f, sag = person.face, person.skin.sag
    top = CROWN_Y * f.forehead
    jowl = 0.045 * sag
    a = [
        (top, 0.0),
        (top * 0.93, 0.50),
        (top * 0.78, 0.86),
        (top * 0.52, 1.08),
        (top * 0.25, 1.15),
        (0.02, 1.115 * f.cheek),
        (0.36 * f.length, 1.11 * f.cheek),
        (0.66 * f.length, 1.085 * f.cheek),
        (0.955 * f.length, 1.03 * (f.cheek + f.jaw) / 2),
        (1.24 * f.length, 0.925 * f.jaw + 0.6 * jowl),
        (1.48 * f.length, 0.755 * (f.jaw + f.chin_width) / 2 + jowl),
        (1.68 * f.length, 0.520 * f.chin_width + 0.4 * jowl),
        (1.80 * f.length, 0.325 * f.chin_width),
        (CHIN_Y * f.length, 0.0),
    ]
    b = [
        (top, 0.0),
        (top * 0.9, 0.72),
        (top * 0.72, 1.08),
        (top * 0.45, 1.27),
        (-0.30, 1.33),
        (0.30, 1.33),
        (0.80 * f.length, 1.33),
        (1.25 * f.length, 1.33),
        (1.60 * f.length, 1.28),
        (1.76 * f.length, 1.12),
        (CHIN_Y * f.length, 0.45),
    ]
    return ShellRadii.through([(y, half * f.width) for y, half in a], b)


def neck_half_width(person: Person) -> float:
    """Return the half-width of the neck below the jaw."""
    return 0.84 * person.face.neck


def _nose(grid: Grid, face: FaceShape) -> Array:
    k = face.nose_length * face.length
    tip_y = 0.56 * k
    ridge = spline(
        np.array(
            [
                (-0.40, 0.0),
                (-0.14, 0.085),
                (0.02, 0.11 * face.nose_height),
                (0.25 * k, 0.235 * face.nose_height),
                (0.45 * k, 0.37 * face.nose_height),
                (tip_y, 0.455 * face.nose_height),
                (tip_y + 0.06, 0.43 * face.nose_height),
                (tip_y + 0.13, 0.29 * face.nose_height),
                (tip_y + 0.20, 0.13),
                (tip_y + 0.33, 0.0),
            ]
        ),
        grid.y,
    )
    half = spline(
        np.array([(-0.4, 0.24), (-0.1, 0.125), (0.15, 0.125), (0.40, 0.165), (tip_y, 0.20), (0.9, 0.24)]), grid.y
    )
    half = half * (0.45 + 0.55 * face.nose_width)
    body = ridge * np.exp(-((np.abs(grid.x) / half) ** 2.2))
    wing_x = 0.215 * face.nose_width
    wings = 0.18 * grid.pair(wing_x + 0.01, tip_y + 0.065, 0.075, 0.085, 2.2)
    tip = 0.055 * face.nose_tip * grid.bump(0.0, tip_y + 0.01, 0.13, 0.11)
    holes = -0.050 * grid.pair(0.115 * face.nose_width, tip_y + 0.135, 0.060, 0.030)
    groove = -0.045 * grid.pair(wing_x + 0.085, tip_y + 0.02, 0.045, 0.095)
    return (body + wings + tip + holes + groove).astype(np.float32)


def lip_curves(face: FaceShape, t: Array) -> tuple[Array, Array, Array]:
    """Return (top of upper lip, line between the lips, bottom of lower lip) as y at `t` in [-1, 1] across the mouth."""
    edge = np.clip(1.0 - np.abs(t) ** 2.2, 0.0, 1.0)
    bow = 1.0 - 0.22 * np.exp(-((t / 0.13) ** 2))
    centre = MOUTH_Y * face.length
    line = centre + 0.012 * np.cos(t * np.pi * 2.0) * edge + 0.016 * t * t
    upper = line - 0.125 * face.lip_upper * bow * np.clip(1.0 - np.abs(t) ** 1.45, 0.0, 1.0)
    lower = line + 0.150 * face.lip_lower * np.clip(1.0 - np.abs(t) ** 2.3, 0.0, 1.0)
    return upper, line, lower


def mouth_half_width(face: FaceShape) -> float:
    """Return half the width of the mouth."""
    return 0.425 * face.lip_width


def _mouth(grid: Grid, face: FaceShape) -> Array:
    half = mouth_half_width(face)
    centre = MOUTH_Y * face.length
    t = grid.x / half
    upper, line, lower = lip_curves(face, np.clip(t, -1, 1))
    inside = np.clip(1.0 - np.abs(t) ** 3, 0.0, 1.0)
    fullness_up, fullness_low = np.maximum(line - upper, 0.02), np.maximum(lower - line, 0.02)
    up = np.exp(-(((grid.y - (line - 0.45 * fullness_up)) / (0.62 * fullness_up)) ** 2)) * inside
    low = np.exp(-(((grid.y - (line + 0.50 * fullness_low)) / (0.62 * fullness_low)) ** 2)) * inside
    seam = np.exp(-(((grid.y - line) / 0.020) ** 2)) * np.clip(1.08 - np.abs(t) ** 4, 0.0, 1.0)
    muzzle = 0.075 * grid.bump(0.0, centre, 0.50, 0.42, 2.4)
    philtrum_y = (0.74 * face.nose_length * face.length + float(np.min(upper))) / 2
    philtrum = -0.022 * grid.bump(0.0, philtrum_y, 0.042, 0.085)
    ridges = 0.012 * grid.pair(0.075, philtrum_y, 0.035, 0.085)
    corners = -0.035 * grid.pair(half * 1.06, centre + 0.03, 0.060, 0.060)
    fold = -0.060 * grid.bump(0.0, float(np.max(lower)) + 0.075, 0.26, 0.065)
    lips = 0.055 * up + 0.075 * low - 0.050 * seam
    return (muzzle + philtrum + ridges + corners + fold + lips).astype(np.float32)


def nasolabial(face: FaceShape, side: int) -> NDArray[np.float64]:
    """Return the fold from the wing of the nose past the corner of the mouth, as points (N, 2)."""
    t = np.linspace(0, 1, 12)
    k = face.nose_length * face.length
    start_x, start_y = 0.27 * face.nose_width, 0.56 * k
    end_x, end_y = mouth_half_width(face) + 0.11, MOUTH_Y * face.length + 0.10
    x = start_x + (end_x - start_x) * t + 0.055 * np.sin(np.pi * t)
    y = start_y + (end_y - start_y) * t
    return np.stack([side * x, y], axis=1)


def relief(grid: Grid, person: Person) -> Array:
    """Return the height of the facial features above the cylinder, (H, W) head units, without wrinkles."""
    f, skin, eyes = person.face, person.skin, person.eyes
    out = _nose(grid, f) + _mouth(grid, f)
    out += 0.055 * f.brow_ridge * grid.pair(0.46, -0.27, 0.40, 0.115)
    out += 0.030 * f.brow_ridge * grid.bump(0.0, -0.26, 0.22, 0.13)
    out -= (0.105 + 0.015 * f.brow_ridge) * grid.pair(0.47, 0.00, 0.30, 0.165, 2.4)
    out -= 0.060 * grid.pair(0.22, 0.02, 0.095, 0.14)
    out += 0.075 * eyes.size * grid.pair(EYE_X, 0.0, 0.20, 0.125, 2.6)
    out += 0.022 * grid.pair(EYE_X, 0.175, 0.22, 0.07)
    out += 0.060 * f.cheekbone * grid.pair(0.68, 0.42, 0.28, 0.22)
    out += 0.040 * grid.pair(0.48, 0.62, 0.24, 0.22)
    out -= 0.042 * (0.4 + f.cheekbone) * grid.pair(0.74, 0.92, 0.22, 0.24)
    chin_y = 1.58 * f.length
    out += 0.095 * f.chin_out * grid.bump(0.0, chin_y, 0.25, 0.16)
    out += 0.020 * grid.pair(0.30, -0.75, 0.32, 0.34)
    out += 0.055 * skin.sag * grid.pair(0.55, 1.38 * f.length, 0.15, 0.15)
    out -= 0.030 * skin.sag * grid.pair(0.36, 1.46 * f.length, 0.07, 0.14)
    out -= 0.040 * skin.sag * grid.pair(0.62, 0.80, 0.22, 0.20)
    out += 0.030 * skin.bags * grid.pair(0.46, 0.245, 0.17, 0.055)
    out -= 0.028 * skin.bags * grid.pair(0.45, 0.335, 0.20, 0.045)
    edge = smoothstep(0.98, 0.72, np.abs(grid.x) / np.maximum(head_radii(person).at(grid.y)[0], 0.05))
    return (out * edge).astype(np.float32)
