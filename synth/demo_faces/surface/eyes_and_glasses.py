"""Eyes and glasses, painted per snapshot because gaze, lids and pose move them."""

from __future__ import annotations

import cv2
import numpy as np

from synth.demo_faces.parameters import Person, Snapshot
from synth.demo_faces.surface.grid import Array, smoothstep
from synth.demo_faces.surface.hair import STYLES
from synth.demo_faces.surface.head import EYE_WIDTH, EYE_X


def lid_curves(person: Person, snapshot: Snapshot, t: Array) -> tuple[Array, Array]:
    """Return (upper lid, lower lid) as y at `t` in [-1 (inner corner), 1 (outer corner)]."""
    eyes = person.eyes
    droop = 0.30 * person.skin.sag
    opening = eyes.opening * (1.0 - snapshot.squint - 0.10 * max(snapshot.smile, 0.0)) * (1 - 0.18 * droop)
    arch = np.clip(1 - np.abs(t + 0.10) ** 2.3, 0.0, 1.0) * np.clip(1.0 - np.abs(t) ** 7, 0.0, 1.0)
    slant = -eyes.slant * (t + 0.3) * 1.3
    upper = slant - 0.108 * eyes.size * opening * arch + 0.020 * droop * np.clip(t, 0, 1)
    lower = slant + 0.076 * eyes.size * (0.55 + 0.45 * opening) * np.clip(1 - np.abs(t - 0.12) ** 2.4, 0.0, 1.0)
    return upper.astype(np.float32), lower.astype(np.float32)


def eye_half_width(person: Person) -> float:
    """Return half the width of the lid opening."""
    return EYE_WIDTH * person.eyes.size


def paint_eye(
    person: Person,
    snapshot: Snapshot,
    side: int,
    x: Array,
    y: Array,
    albedo: Array,
    gloss: Array,
    ambient: Array,
    scale: float,
) -> tuple[Array, Array]:
    """Paint one eye into the region in place; return (height change, catchlight), both (H, W).

    `x`, `y` are face coordinates of the region's pixels, `side` is -1 or 1, `scale` is pixels per unit.
    """
    eyes, skin = person.eyes, person.skin
    half = eye_half_width(person)
    t = (x * side - EYE_X) / half
    upper, lower = lid_curves(person, snapshot, np.clip(t, -1.0, 1.0))
    soft = 0.8 / scale
    inside = smoothstep(-soft, soft, y - upper) * smoothstep(soft, -soft, y - lower) * smoothstep(1.0, 0.94, np.abs(t))

    # skin around the eye: fold above the lid, its shade, lashes
    tone = np.array(skin.tone, np.float32)
    fold_y = upper - (0.055 + 0.025 * eyes.opening) * (1 - 0.45 * np.clip(np.abs(t), 0, 1.2) ** 2)
    fold = np.exp(-(((y - fold_y) / 0.018) ** 2)) * smoothstep(1.25, 0.8, np.abs(t)) * eyes.crease
    lash_width = 0.013 + 0.020 * eyes.lash * np.clip(0.35 + 0.65 * (t + 1) / 2, 0, 1.2)
    lash = np.exp(-(((y - upper + 0.4 * lash_width) / lash_width) ** 2)) * smoothstep(1.12, 0.92, np.abs(t + 0.03))
    wing = eyes.lash * np.exp(-(((y - upper + 0.016 + 0.10 * (t - 0.95)) / 0.013) ** 2)) * smoothstep(0.80, 0.95, t)
    lash = np.maximum(lash, wing * smoothstep(1.22, 1.06, t))
    below = np.exp(-(((y - lower - 0.004) / 0.011) ** 2)) * smoothstep(1.05, 0.8, np.abs(t)) * (0.20 + 0.45 * eyes.lash)
    albedo *= (1 - 0.42 * fold)[..., None]

    # eyeball
    ball_shade = 0.62 + 0.38 * np.clip((y - upper) / 0.075, 0, 1)
    corner_shade = 1 - 0.30 * np.clip(np.abs(t), 0, 1) ** 3
    white = np.array([0.66, 0.63, 0.60], np.float32) * (ball_shade * corner_shade)[..., None]
    white = white * (1 - 0.10 * np.clip(np.abs(t) - 0.3, 0, 1)[..., None] * np.array([0.0, 1.0, 1.0], np.float32))
    radius = 0.098 * min(max(eyes.size, 0.95), 1.05)
    gaze_x = EYE_X * side + 0.085 * (snapshot.gaze - np.sin(np.radians(snapshot.yaw_deg)))
    gaze_y = 0.5 * float(np.mean(lid_curves(person, snapshot, np.zeros(1, np.float32)))) - 0.012
    dx, dy = x - gaze_x, y - gaze_y
    r = np.hypot(dx, dy) / radius
    spokes = 1 + 0.20 * np.sin(np.arctan2(dy, dx) * 23 + 4 * r) * smoothstep(0.3, 0.6, r)
    lower_glow = 1 + 0.45 * np.clip(dy / radius, -0.6, 1.0)
    iris = np.array(eyes.iris, np.float32) * (spokes * lower_glow * (1.25 - 0.75 * smoothstep(0.74, 1.0, r)))[..., None]
    iris = iris * (1 - 0.96 * smoothstep(0.44, 0.36, r))[..., None] * (0.45 + 0.55 * ball_shade)[..., None]
    inside_iris = smoothstep(1.0 + soft / radius, 1.0 - soft / radius, r)[..., None]
    ball = white + (iris - white) * inside_iris
    caruncle = np.exp(-(((t + 0.93) / 0.14) ** 2))[..., None]
    ball = ball + (tone * np.array([0.95, 0.55, 0.52], np.float32) - ball) * caruncle * 0.8
    albedo += (ball - albedo) * inside[..., None]
    rim = np.exp(-(((y - lower) / 0.010) ** 2)) * smoothstep(0.95, 0.8, np.abs(t))
    albedo += (tone * np.array([1.0, 0.72, 0.68], np.float32) - albedo) * (0.45 * rim)[..., None]
    dark = np.array(person.hair.brow_color, np.float32) * 0.35
    albedo += (dark - albedo) * np.clip(0.92 * lash, 0, 1)[..., None]
    albedo += (dark - albedo) * (0.42 * below)[..., None]
    gloss *= 1 - inside
    ambient += (1.0 - ambient) * inside
    lx = float(np.sin(np.radians(snapshot.light_azimuth_deg)))
    spot_x, spot_y = gaze_x + 0.045 * lx + 0.012, gaze_y - 0.040
    catch = np.exp(-((((x - spot_x) ** 2 + (y - spot_y) ** 2) / 0.023**2) ** 1.5)) * inside
    fill = 0.16 * np.exp(-(((x - gaze_x + 0.03) / 0.05) ** 2 + ((y - gaze_y - 0.055) / 0.022) ** 2)) * inside
    height = -0.016 * inside - 0.012 * fold
    return height.astype(np.float32), (catch + fill).astype(np.float32)


def _lens_outline(kind: str) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 49)
    c, s = np.cos(angle), np.sin(angle)
    power = {"round": 1.0, "square": 0.52, "half": 0.70}[kind]
    x = 0.385 * np.sign(c) * np.abs(c) ** power
    y = {"round": 0.34, "square": 0.275, "half": 0.26}[kind] * np.sign(s) * np.abs(s) ** power
    return np.stack([x, y + 0.045 - 0.04 * x * (kind == "square")], axis=1)


def glasses_overlay(person: Person, project: object, shape: tuple[int, int], scale: float) -> tuple[Array, Array]:
    """Return (frame, lens) coverage in [0, 1], (H, W). `project(x, y, z)` maps (N,) head units to canvas pixels."""
    kind = person.outfit.glasses
    frame, lens = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    thick = max(1, round(scale * (0.052 if kind != "half" else 0.030)))
    outline = _lens_outline(kind)
    depth = 1.46

    def draw(points: np.ndarray, width: int) -> None:
        xy = np.round(project(points[:, 0], points[:, 1], points[:, 2]) * 16).astype(np.int32)  # type: ignore[operator]
        cv2.polylines(frame, [xy.reshape(-1, 1, 2)], False, 255, width, cv2.LINE_AA, 4)

    for side in (-1, 1):
        x = side * (EYE_X + 0.015 + outline[:, 0])
        rim = np.stack([x, outline[:, 1], depth - 0.16 * np.maximum(side * x - 0.3, 0)], axis=1)
        xy = np.round(project(rim[:, 0], rim[:, 1], rim[:, 2]) * 16).astype(np.int32)  # type: ignore[operator]
        cv2.fillPoly(lens, [xy.reshape(-1, 1, 2)], 255, cv2.LINE_AA, 4)
        draw(rim if kind != "half" else rim[24:], thick)
        if kind == "half":
            draw(rim[:25], 1)
        if STYLES[person.hair.style].cover > 0:
            continue  # hair covers the arms
        arm = np.array([[side * 0.90, -0.06, depth - 0.10], [side * 1.04, -0.07, 1.0], [side * 1.13, -0.06, 0.45]])
        draw(arm, thick)
    t = np.linspace(-1, 1, 9)
    draw(np.stack([0.125 * t, -0.005 - 0.035 * (1 - t**2), depth + 0.03 * (1 - t**2)], axis=1), thick)
    return frame.astype(np.float32) / 255.0, lens.astype(np.float32) / 255.0
