"""The face atlas of one person: relief, colour, gloss and ambient occlusion on the frontal grid.

It depends on the person only and is built once for the seven shots.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.demo_faces.parameters import Person
from synth.demo_faces.surface.grid import DENSITY, Array, Grid, line_noise, smoothstep, value_noise
from synth.demo_faces.surface.head import EYE_X, lip_curves, mouth_half_width, nasolabial, relief


@dataclass(frozen=True)
class FaceAtlas:
    """Layers on `Grid.atlas()`, all float32.

    `relief` (H, W) is in head units, `albedo` (H, W, 3) linear RGB; `gloss` (H, W) and `cavity` (H, W) multiply the
    highlight and the ambient light.
    """

    relief: Array
    albedo: Array
    gloss: Array
    cavity: Array


def _curve(x: list[float], y: list[float]) -> NDArray[np.float64]:
    t = np.linspace(0, 1, len(x))
    s = np.linspace(0, 1, 14)
    return np.stack([np.interp(s, t, x), np.interp(s, t, y)], axis=1)


def wrinkle_map(grid: Grid, person: Person, rng: np.random.Generator) -> Array:
    """Return the depth (H, W) of expression lines, 0 to about 1; it grows with `skin.wrinkles`."""
    f, amount = person.face, person.skin.wrinkles
    out = np.zeros(grid.shape, np.float32)
    for side in (-1, 1):
        out += (0.16 + 0.75 * amount) * grid.crease(nasolabial(f, side), 0.045)
        mouth_x = side * (mouth_half_width(f) + 0.06)
        marionette = _curve(
            [mouth_x, mouth_x * 1.06, mouth_x * 1.0], [1.10 * f.length, 1.25 * f.length, 1.42 * f.length]
        )
        out += 0.75 * max(0.0, amount - 0.18) * grid.crease(marionette, 0.035)
        for k in range(3):  # crow's feet
            angle = np.radians(-24 + 24 * k + rng.normal(0, 4))
            start = np.array([side * (EYE_X + 0.29), -0.01 + 0.035 * k])
            reach = rng.uniform(0.15, 0.25)
            stop = start + reach * np.array([side * np.cos(angle), np.sin(angle)])
            out += 0.85 * max(0.0, amount - 0.12) * grid.crease(np.linspace(start, stop, 8), 0.020)
        for k in range(2):  # under the eye
            y = 0.21 + 0.075 * k + rng.normal(0, 0.008)
            bag = _curve([side * 0.29, side * 0.47, side * 0.70], [y - 0.045, y + 0.035, y - 0.04])
            out += (0.10 + 0.55 * amount + 0.3 * person.skin.bags) * (0.8 - 0.3 * k) * grid.crease(bag, 0.026)
        frown = _curve([side * 0.085, side * 0.105], [-0.46 + rng.normal(0, 0.02), -0.20])
        out += rng.uniform(0.3, 0.9) * max(0.0, amount - 0.15) * grid.crease(frown, 0.028)
    for k in range(4):  # forehead
        y = -0.58 - 0.135 * k + rng.normal(0, 0.018)
        reach = rng.uniform(0.45, 0.72)
        xs = np.linspace(-reach, reach, 16) + rng.normal(0, 0.05)
        ys = y + 0.025 * np.cos(xs * 3.4) + 0.010 * np.sin(xs * 11 + rng.uniform(0, 6))
        out += rng.uniform(0.5, 1.0) * max(0.0, amount - 0.10) * grid.crease(np.stack([xs, ys], 1), 0.028)
    return out


def lip_masks(grid: Grid, person: Person) -> tuple[Array, Array]:
    """Return (inside of the lips, the seam between them), both (H, W) in [0, 1]."""
    half = mouth_half_width(person.face)
    t = grid.x / half
    upper, line, lower = lip_curves(person.face, np.clip(t, -1, 1))
    soft = 0.020
    inside = smoothstep(-soft, soft, grid.y - upper) * smoothstep(soft, -soft, grid.y - lower)
    inside = inside * smoothstep(1.02, 0.90, np.abs(t))
    seam = np.exp(-(((grid.y - line) / 0.014) ** 2)) * smoothstep(1.06, 0.80, np.abs(t))
    return inside.astype(np.float32), seam.astype(np.float32)


def brow_curve(person: Person, t: Array) -> Array:
    """Return y of the middle of an eyebrow at `t` in [0 (inner end), 1 (outer end)]."""
    eyes = person.eyes
    rise = 0.085 * eyes.brow_arch * np.sin(np.pi * np.clip(t, 0, 1) ** 1.35)
    droop = 0.16 * np.clip(t - 0.62, 0, 1) * (1 + eyes.brow_arch)
    return (-0.272 - eyes.brow_height - rise + droop - 0.7 * eyes.slant * t).astype(np.float32)


def brow_mask(grid: Grid, person: Person, rng: np.random.Generator) -> Array:
    """Return eyebrows as strokes, (H, W) in [0, 1]."""
    eyes = person.eyes
    inner, outer = 0.19, 0.87
    t = (np.abs(grid.x) - inner) / (outer - inner)
    middle = brow_curve(person, t)
    half = 0.058 * eyes.brow_thickness * np.clip(1.18 - 0.80 * np.clip(t, 0, 1) ** 1.5, 0.15, 1.2)
    across = (grid.y - middle) / half
    body = np.exp(-(np.abs(across) ** 2.6)) * smoothstep(-0.06, 0.12, t) * smoothstep(1.06, 0.80, t)
    across_hairs = np.abs(grid.x) + grid.y * (0.9 - 1.2 * np.clip(t, 0, 1))  # upright at the nose, then outwards
    strands = line_noise(rng, across_hairs + 2.0, np.broadcast_to(grid.y, grid.shape), 60.0)
    hairy = np.clip(body * (0.94 + 0.22 * strands), 0, 1) * np.clip(body * 1.8, 0, 1)
    return (hairy * eyes.brow_density).astype(np.float32)


def beard_mask(grid: Grid, person: Person) -> tuple[Array, Array]:
    """Return the areas of (a full beard, a moustache and chin beard), both (H, W) in [0, 1]."""
    f = person.face
    ax = np.abs(grid.x)
    half = mouth_half_width(f)
    upper, _, lower = lip_curves(f, np.clip(grid.x / half, -1, 1))
    cheek_line = (
        np.interp(ax[0], [0.0, 0.42, 0.62, 0.85, 0.98, 1.06], [1.2, 1.06, 0.98, 0.72, 0.42, 0.20])[None] * f.length
    )
    full = smoothstep(-0.05, 0.10, grid.y - cheek_line.astype(np.float32))
    off_lips = np.maximum(smoothstep(0.015, 0.06, grid.y - lower), smoothstep(0.9, 1.1, ax / half))
    full = full * np.maximum(off_lips, smoothstep(-0.04, 0.02, -(grid.y - upper)))
    nose_base = 0.56 * f.nose_length * f.length + 0.20
    lip_area = smoothstep(nose_base - 0.02, nose_base + 0.08, grid.y) * smoothstep(0.0, -0.045, grid.y - upper)
    moustache = lip_area * smoothstep(1.28, 0.95, ax / half)
    ring = smoothstep(0.62, 0.48, ax) * smoothstep(-0.03, 0.05, grid.y - np.broadcast_to(lower, grid.shape))
    legs = (
        smoothstep(0.82, 1.02, ax / half)
        * smoothstep(1.42, 1.22, ax / half)
        * smoothstep(0.94, 1.06, grid.y / f.length)
    )
    goatee = np.clip(np.maximum(ring, legs) * smoothstep(0.98, 1.08, grid.y / f.length), 0, 1)
    return full.astype(np.float32), np.maximum(moustache, goatee * (person.skin.beard > 0)).astype(np.float32)


def _facial_hair(grid: Grid, person: Person, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return (dense hair, stubble shade), both (H, W) in [0, 1]."""
    skin = person.skin
    if max(skin.stubble, skin.beard, skin.moustache) == 0:
        return np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.float32)
    full, middle = beard_mask(grid, person)
    strands = line_noise(
        rng,
        np.broadcast_to(grid.x * 1.0 + 0.06 * np.sin(grid.y * 14), grid.shape),
        np.broadcast_to(grid.y + 2, grid.shape),
        58.0,
    )
    dense = full * (skin.beard >= 0.9) + middle * (skin.beard == 0.5) + middle * skin.moustache * (skin.beard == 0)
    dense = np.maximum(dense, middle * skin.moustache)
    mottle = value_noise(rng, grid.shape, (9, 9))
    dense = smoothstep(0.25, 0.85, np.clip(dense, 0, 1) + 0.13 * strands + 0.05 * mottle) * np.clip(dense * 2.2, 0, 1)
    speck = np.clip(
        0.72 + 0.22 * cv2.GaussianBlur(rng.standard_normal(grid.shape).astype(np.float32), (0, 0), 0.8) * 2.4, 0, 1.6
    )
    shade = np.maximum(full, middle) * speck * skin.stubble
    return dense.astype(np.float32), shade.astype(np.float32)


def _base_color(grid: Grid, person: Person, rng: np.random.Generator) -> Array:
    """Return skin without hair and lips: mottling, redness, freckles, age spots, dark rings, make-up."""
    skin, f = person.skin, person.face
    tone = np.array(skin.tone, np.float32)
    blush = 0.9 * grid.pair(0.62, 0.50, 0.30, 0.22) + 0.75 * grid.bump(0, 0.56 * f.nose_length, 0.22, 0.20)
    blush += 0.35 * grid.bump(0, 1.5, 0.3, 0.2) + 0.5 * grid.pair(1.15, 0.3, 0.14, 0.5)
    mottle = 0.6 * value_noise(rng, grid.shape, (26, 26)) + 0.4 * value_noise(rng, grid.shape, (9, 9))
    red = skin.redness * blush + (0.10 + 0.12 * skin.texture) * mottle
    out = tone * (1 + red[..., None] * np.array([0.05, -0.10, -0.085], np.float32))
    light = 1.0 + 0.012 * (0.4 + skin.texture) * value_noise(rng, grid.shape, (5, 5))
    sallow = 0.045 * grid.bump(0, -0.8, 0.8, 0.35)
    out = out * (light + sallow)[..., None]
    dots = np.clip(value_noise(rng, grid.shape, (4.5, 4.5)) - 1.25, 0, 1.2) * np.clip(
        grid.pair(0.55, 0.40, 0.45, 0.30) + grid.bump(0, 0.35, 0.25, 0.3), 0, 1
    )
    out = out * (1 - skin.freckles * dots[..., None] * np.array([0.22, 0.36, 0.42], np.float32))
    patches = np.clip(value_noise(rng, grid.shape, (8, 9)) - 1.5, 0, 0.6)
    patches = patches + 0.5 * np.clip(value_noise(rng, grid.shape, (17, 19)) - 1.5, 0, 0.5)
    out = out * (1 - skin.spots * patches[..., None] * np.array([0.26, 0.36, 0.40], np.float32))
    rings = (0.14 + 0.30 * skin.bags) * grid.pair(0.43, 0.20, 0.24, 0.10) + 0.16 * grid.pair(0.24, 0.06, 0.10, 0.14)
    out = out * (1 - rings[..., None] * np.array([0.55, 0.72, 0.62], np.float32))
    if skin.makeup > 0:
        rouge = skin.makeup * 0.30 * (grid.pair(0.70, 0.48, 0.24, 0.17))
        out = out * (1 - rouge[..., None] * np.array([0.05, 0.45, 0.35], np.float32))
        lid = skin.makeup * 0.5 * grid.pair(EYE_X + 0.02, -0.12, 0.24, 0.085)
        out = out * (1 - lid[..., None] * np.array([0.42, 0.55, 0.50], np.float32))
    return out.astype(np.float32)


def cavity(height: Array) -> Array:
    """Return the ambient occlusion (H, W): below 1 where the relief lies below its surroundings."""
    fine = cv2.GaussianBlur(height, (0, 0), 0.035 * DENSITY) - height
    coarse = cv2.GaussianBlur(height, (0, 0), 0.13 * DENSITY) - height
    return np.clip(
        1.0 - 6.0 * np.maximum(fine, 0) - 2.6 * np.maximum(coarse, 0) + 0.5 * np.minimum(coarse, 0), 0.35, 1.08
    )


def _paint_lips(grid: Grid, person: Person, color: Array, height: Array, rng: np.random.Generator) -> Array:
    """Paint lips with fine lines into `color` and `height`; return the mask of the lips."""
    lips, seam = lip_masks(grid, person)
    lines = line_noise(rng, np.broadcast_to(grid.x + 2, grid.shape), np.broadcast_to(grid.y + 2, grid.shape), 34.0)
    height += lips * lines * 0.0022 * (1 + person.skin.wrinkles)
    lip_color = np.array(person.skin.lip, np.float32) * (1 + 0.05 * lines[..., None])
    color += (lip_color - color) * (0.92 * lips)[..., None]
    color *= 1 - seam[..., None] * np.array([0.60, 0.70, 0.68], np.float32)
    return lips


def _paint_nostrils(grid: Grid, person: Person, color: Array) -> None:
    tip_y = 0.56 * person.face.nose_length * person.face.length
    holes = grid.disc(0.115 * person.face.nose_width, tip_y + 0.138, 0.055, 0.024, -24)
    holes = np.clip((holes + holes[:, ::-1]) * 1.35, 0, 1)
    color *= 1 - holes[..., None] * np.array([0.70, 0.78, 0.78], np.float32)


def _paint_hairs(grid: Grid, person: Person, color: Array, height: Array, rng: np.random.Generator) -> Array:
    """Paint stubble, beard and eyebrows into `color` and `height`; return the coverage by hair, which has no gloss."""
    skin, hair = person.skin, person.hair
    dense, stubble = _facial_hair(grid, person, rng)
    shade = np.array(hair.brow_color, np.float32) * 0.6 + np.array(skin.tone, np.float32) * 0.4
    color += (shade - color) * (0.48 * stubble)[..., None]
    beard = np.array(hair.color, np.float32) * (1 - hair.grey) + 0.36 * hair.grey
    tint = np.clip(0.85 + 0.25 * value_noise(rng, grid.shape, (2, 2)), 0.3, 1.6)
    color += (beard * tint[..., None] - color) * (0.93 * dense)[..., None]
    brows = brow_mask(grid, person, rng)
    color += (np.array(hair.brow_color, np.float32) - color) * (0.94 * brows)[..., None]
    thick = cv2.GaussianBlur(dense, (0, 0), 5.0)  # a beard rises smoothly; a step would show a highlight
    height += 0.045 * thick + 0.007 * dense * value_noise(rng, grid.shape, (3, 3)) + 0.014 * brows
    return np.clip(dense + brows + 0.6 * stubble, 0, 1)


def build_face(person: Person) -> FaceAtlas:
    """Build all face layers of `person`."""
    rng = np.random.default_rng([person.seed, 1])
    grid, skin = Grid.atlas(), person.skin
    wrinkles = wrinkle_map(grid, person, rng)
    pores = value_noise(rng, grid.shape, (2.4, 2.4)) * 0.0007 + value_noise(rng, grid.shape, (7, 7)) * 0.0006
    height = relief(grid, person) - 0.027 * wrinkles + pores * (0.5 + 1.6 * skin.texture)
    color = _base_color(grid, person, rng) * (1 - 0.22 * np.clip(wrinkles, 0, 1.2))[..., None]
    lips = _paint_lips(grid, person, color, height, rng)
    _paint_nostrils(grid, person, color)
    hairy = _paint_hairs(grid, person, color, height, rng)

    gloss = 0.30 + 0.45 * grid.bump(0, 0.5, 0.16, 0.30) + 0.30 * grid.bump(0, -0.70, 0.55, 0.30)
    gloss = (gloss + 0.25 * grid.pair(0.60, 0.36, 0.26, 0.16)) * skin.shine * (1 - hairy)
    gloss = gloss * (1 + 0.25 * value_noise(rng, grid.shape, (2.2, 2.2))) * (1 - lips)
    gloss = np.clip(gloss + lips * (0.55 + 0.5 * skin.makeup), 0, 2)
    layers = (height, np.clip(color, 0, 1), gloss, cavity(height))
    return FaceAtlas(*(layer.astype(np.float32) for layer in layers))
