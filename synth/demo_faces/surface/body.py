"""Atlases of neck, shoulders, clothes and ears, which a snapshot places without change."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from synth.demo_faces.parameters import Person
from synth.demo_faces.surface.grid import Array, line_noise, mix, smoothstep, spline, value_noise
from synth.demo_faces.surface.head import neck_half_width

BODY_DENSITY = 62.0
BODY_X_HALF, BODY_TOP, BODY_BOTTOM = 3.9, 0.5, 5.4
EAR_DENSITY = 110.0
EAR_WIDTH, EAR_HALF_HEIGHT = 0.56, 0.56


@dataclass(frozen=True)
class PartAtlas:
    """Layers of a part: `alpha`, `depth` (head units), `gloss`, `ambient` (H, W) and `albedo` (H, W, 3) linear RGB."""

    alpha: Array
    depth: Array
    albedo: Array
    gloss: Array
    ambient: Array


def _neckline(kind: str, x: Array) -> Array:
    ax = np.abs(x)
    if kind == "vneck":
        return np.where(ax < 0.95, 3.45 - 1.02 * (ax / 0.95) ** 1.1, 2.43 - 0.5 * (ax - 0.95)).astype(np.float32)
    if kind == "turtleneck":
        return (1.86 + 0.10 * (1 - (x / 0.9) ** 2) + 0 * ax).astype(np.float32)
    if kind in ("shirt", "blazer"):
        return np.where(ax < 0.80, 2.92 - 0.80 * (ax / 0.80) ** 1.2, 2.12).astype(np.float32)
    low = 2.74 if kind == "crew" else 2.66
    return (low - 0.42 * (ax / 0.95) ** 2.2).astype(np.float32)


def _shoulder_line(person: Person, x: Array) -> Array:
    ax = np.abs(x) / person.outfit.shoulder
    knots = [
        (0, 1.9),
        (0.62, 2.06),
        (0.80, 2.20),
        (1.05, 2.37),
        (1.6, 2.56),
        (2.2, 2.74),
        (2.65, 2.98),
        (2.95, 3.4),
        (3.2, 4.3),
        (3.6, 6.5),
    ]
    return spline(np.array(knots), ax)


def _garment(person: Person, rng: np.random.Generator, x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Return (coverage, colour, relief) of the clothes."""
    fit = person.outfit
    main, second = np.array(fit.color, np.float32), np.array(fit.second, np.float32)
    neck = _neckline(fit.kind, x)[None, :]
    cover = smoothstep(-0.015, 0.015, y - neck)
    rim = np.exp(-(((y - neck - 0.055) / 0.045) ** 2))
    shape = (len(y), len(x))
    xx, yy = np.broadcast_to(x[None, :], shape), np.broadcast_to(y, shape)
    folds = 0.050 * value_noise(rng, shape, (110, 52)) * smoothstep(2.5, 3.4, yy)
    weave = 0.0012 * value_noise(rng, shape, (2, 2))
    relief = folds + weave + 0.045 * rim
    color = np.broadcast_to(main, (*shape, 3)) * (1 + 0.05 * value_noise(rng, shape, (3, 3))[..., None])
    if fit.kind == "turtleneck":
        relief = relief + 0.030 * np.sin(yy * 2 * np.pi / 0.24) * smoothstep(2.75, 2.55, yy)
        rib = 0.06 * np.sin(xx * 2 * np.pi / 0.07) * smoothstep(2.8, 2.5, yy)
        color = color * (1 + rib[..., None])
    if fit.kind in ("crew", "vneck"):
        color = color * (1 - 0.18 * np.exp(-(((y - neck - 0.12) / 0.012) ** 2)))[..., None]
    if fit.kind == "hoodie":
        hood = smoothstep(0.52, 0.36, yy - neck) * smoothstep(0.02, 0.12, yy - neck)
        relief = relief + 0.20 * hood
        for side in (-1, 1):
            cord = np.exp(-(((xx - side * (0.30 + 0.02 * np.sin(yy * 7))) / 0.030) ** 2)) * smoothstep(2.9, 3.0, yy)
            color = mix(color.astype(np.float32), np.broadcast_to(second, color.shape), cord * smoothstep(4.4, 4.2, yy))
            relief = relief + 0.03 * cord
    if fit.kind in ("shirt", "blazer"):
        cloth = second if fit.kind == "blazer" else main
        color = np.broadcast_to(cloth, (*shape, 3)) * (1 + 0.04 * value_noise(rng, shape, (2, 3))[..., None])
        flap_edge = 2.92 + 0.40 * (1 - np.abs(xx) / 0.75) - 0.9 * np.clip(np.abs(xx) - 0.28, 0, 1)
        flap = smoothstep(0.02, -0.02, yy - flap_edge - 0.22) * smoothstep(1.02, 0.96, np.abs(xx)) * (np.abs(xx) > 0.02)
        relief = relief + 0.07 * flap
        color = color * (1 - 0.16 * np.exp(-(((yy - flap_edge - 0.24) / 0.035) ** 2)) * (np.abs(xx) < 1.0))[..., None]
        placket = np.exp(-(((xx - 0.03) / 0.012) ** 2)) * smoothstep(3.0, 3.1, yy)
        color = color * (1 - 0.30 * placket)[..., None]
        for k in range(3):
            button = np.exp(-(((xx + 0.03) ** 2 + (yy - 3.45 - 0.55 * k) ** 2) / 0.035**2))
            color = color * (1 - 0.35 * button)[..., None]
    if fit.kind == "blazer":
        opening = 0.98 - 0.40 * (yy - 2.2)
        jacket = smoothstep(-0.02, 0.02, np.abs(xx) - np.maximum(opening, 0.04))
        lapel_edge = opening + 0.42 * smoothstep(2.2, 2.9, yy) * smoothstep(4.6, 3.4, yy) + 0.06
        lapel = smoothstep(0.02, -0.02, np.abs(xx) - lapel_edge) * jacket
        color = mix(color.astype(np.float32), main * (1 + 0.10 * value_noise(rng, shape, (2, 2))[..., None]), jacket)
        color = color * (1 - 0.24 * np.exp(-(((np.abs(xx) - lapel_edge) / 0.026) ** 2)) * jacket)[..., None]
        relief = relief + 0.07 * jacket + 0.05 * lapel
    return cover, color.astype(np.float32), relief.astype(np.float32)


def build_body(person: Person) -> PartAtlas:
    """Build neck and clothed shoulders, on x in ±BODY_X_HALF, y from BODY_TOP to BODY_BOTTOM."""
    rng = np.random.default_rng([person.seed, 3])
    cols, rows = round(2 * BODY_X_HALF * BODY_DENSITY), round((BODY_BOTTOM - BODY_TOP) * BODY_DENSITY)
    x = (np.arange(cols, dtype=np.float32) + 0.5) / BODY_DENSITY - BODY_X_HALF
    y = ((np.arange(rows, dtype=np.float32) + 0.5) / BODY_DENSITY + BODY_TOP)[:, None]
    half = neck_half_width(person) * np.interp(y, [0.5, 1.6, 2.1, 2.4, 2.7], [0.98, 0.98, 1.03, 1.18, 1.5]).astype(
        np.float32
    )
    ratio = np.clip(np.abs(x)[None, :] / half, 0, 1)
    neck_depth = -0.42 + 0.80 * np.sqrt(1 - ratio**2)
    line = _shoulder_line(person, x)[None, :]
    torso_in = smoothstep(-0.012, 0.012, y - line)
    span = 3.3 * person.outfit.shoulder
    torso_depth = (
        -0.35
        + 0.95 * np.sqrt(np.clip(1 - (x / span) ** 2, 0, 1))[None, :]
        - 0.75 * np.exp(-np.maximum(y - line, 0) / 0.42)
    )
    blend = smoothstep(2.15, 2.75, y) * torso_in
    neck_in = smoothstep(1.0, 0.985, np.abs(x)[None, :] / half) * smoothstep(3.2, 2.9, y)
    neck_depth = neck_depth - 1.5 * np.clip(np.abs(x)[None, :] / half - 1, 0, 2)
    torso_depth = torso_depth - 1.5 * np.clip(line - y, 0, 2) - 0.9 * (1 - blend) * smoothstep(2.7, 1.9, y)
    k = 0.10  # soft maximum, so that neck and shoulders join smoothly
    depth = k * np.logaddexp(neck_depth / k, torso_depth / k)
    tendon = (
        np.exp(-(((np.abs(x)[None, :] - 0.46 + 0.30 * (y - 1.8)) / 0.085) ** 2))
        * smoothstep(1.7, 2.0, y)
        * smoothstep(2.75, 2.4, y)
    )
    bone = np.exp(-(((y - 2.62 - 0.10 * np.abs(x)[None, :]) / 0.075) ** 2)) * smoothstep(0.16, 0.4, np.abs(x))[None, :]
    apple = np.exp(-((x[None, :] / 0.10) ** 2 + ((y - 2.12) / 0.14) ** 2)) * (
        float(np.clip(0.008 + 0.35 * (person.face.neck - 0.97), 0.0, 0.06))
    )
    bands = (
        0.022 * person.skin.sag * np.cos(x * 22)[None, :] * smoothstep(1.7, 2.0, y) * np.exp(-((x / 0.4) ** 2))[None, :]
    )
    cover, cloth, relief = _garment(person, rng, x, y)
    depth = depth + (0.045 * tendon + 0.05 * bone + apple + bands) * (1 - cover)
    skin = np.array(person.skin.tone, np.float32) * np.array([0.97, 0.93, 0.92], np.float32)
    rings = 0.10 * person.skin.wrinkles * np.exp(-(((y - 2.05 - 0.08 * np.cos(x * 2)[None, :]) / 0.018) ** 2))
    mottle = 1 + 0.03 * value_noise(rng, (rows, cols), (9, 9)) - rings
    albedo = mix(skin * mottle[..., None], cloth, cover)
    alpha = np.maximum(torso_in, neck_in)
    if person.outfit.kind == "turtleneck":
        alpha = np.maximum(
            alpha,
            smoothstep(1.10, 1.08, np.abs(x)[None, :] / half) * smoothstep(1.84, 1.88, y) * smoothstep(3.0, 2.8, y),
        )
    depth = depth + (relief + 0.05) * cover
    chin = np.clip((y - 1.35) / 0.75, 0, 1)
    ambient = mix(0.42 + 0.58 * chin**0.8, np.ones_like(chin), cover * 0.4) * np.ones((rows, cols), np.float32)
    edge = cv2.GaussianBlur(cover.astype(np.float32), (0, 0), 3.5)
    ambient = ambient * np.where(cover < 0.5, 1 - 0.55 * edge, 1.0)
    gloss = 0.16 * person.skin.shine * (1 - cover)
    return PartAtlas(*(np.ascontiguousarray(p, np.float32) for p in (alpha, depth, albedo, gloss, ambient)))


def build_ear(person: Person) -> PartAtlas:
    """Build one ear, attached at its left edge: x from 0 to EAR_WIDTH outwards, y in ±EAR_HALF_HEIGHT."""
    rng = np.random.default_rng([person.seed, 4])
    cols, rows = round(EAR_WIDTH * EAR_DENSITY), round(2 * EAR_HALF_HEIGHT * EAR_DENSITY)
    x = ((np.arange(cols, dtype=np.float32) + 0.5) / EAR_DENSITY)[None, :]
    y = ((np.arange(rows, dtype=np.float32) + 0.5) / EAR_DENSITY - EAR_HALF_HEIGHT)[:, None]
    reach = np.interp(
        y, [-0.5, -0.44, -0.25, 0.0, 0.25, 0.40, 0.48, 0.5], [0.05, 0.26, 0.44, 0.43, 0.33, 0.25, 0.15, 0.0]
    )
    reach = reach.astype(np.float32)
    r = x / np.maximum(reach, 0.02)
    alpha = smoothstep(0.03, 0.0, x - reach) * smoothstep(0.50, 0.48, np.abs(y))
    rim = np.exp(-(((r - 0.86) / 0.10) ** 2)) * smoothstep(0.36, 0.20, y)
    inner_rim = np.exp(-(((r - 0.52) / 0.12) ** 2)) * smoothstep(-0.36, -0.2, y) * smoothstep(0.34, 0.2, y)
    bowl = np.exp(-(((x - 0.12) / 0.09) ** 2 + ((y - 0.08) / 0.15) ** 2))
    lobe = np.exp(-(((x - 0.12) / 0.12) ** 2 + ((y - 0.36) / 0.12) ** 2))
    depth = 0.07 * rim + 0.04 * inner_rim - 0.10 * bowl + 0.06 * lobe - 0.10 * r**4 - 0.10 * x
    tone = np.array(person.skin.tone, np.float32) * np.array([1.0, 0.88, 0.86], np.float32)
    shade = 1 - 0.50 * bowl - 0.20 * np.exp(-(((r - 0.70) / 0.08) ** 2)) * smoothstep(0.3, 0.1, y)
    albedo = tone * (shade * (1 + 0.03 * line_noise(rng, x + 0 * y + 1, y + 0 * x + 1, 20)))[..., None]
    gloss = 0.25 * person.skin.shine * (rim + lobe)
    ambient = np.clip(0.62 + 0.5 * np.clip(r, 0, 1), 0, 1)
    return PartAtlas(
        *(
            np.ascontiguousarray(np.broadcast_to(p, (rows, cols, *p.shape[2:])), np.float32)
            for p in (alpha, depth, albedo, gloss, ambient)
        )
    )
