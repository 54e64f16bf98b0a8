"""The parts of one snapshot as layers on the canvas: head, hair, ears, neck and shoulders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from synth.demo_faces.parameters import Person, Snapshot
from synth.demo_faces.rendering.view import WARP_STEP, View, turn_radii
from synth.demo_faces.surface import (
    BODY_DENSITY,
    BODY_TOP,
    BODY_X_HALF,
    DENSITY,
    EAR_DENSITY,
    EAR_HALF_HEIGHT,
    EAR_WIDTH,
    EYE_X,
    HAIR_DENSITY,
    HAIR_TOP,
    HAIR_X_HALF,
    X_HALF,
    Y_TOP,
    Array,
    FaceAtlas,
    HairAtlas,
    PartAtlas,
    ShellRadii,
    paint_eye,
)


@dataclass
class Layer:
    """A part over a region `roi` (rows, columns) of the canvas. Arrays are (h, w) or (h, w, 3), float32.

    `depth` is towards the camera in head units; `glow` is light added after shading (the catchlight of the eyes).
    """

    roi: tuple[slice, slice]
    material: Literal["skin", "cloth", "hair"]
    alpha: Array
    depth: Array
    albedo: Array
    gloss: Array
    ambient: Array
    glow: Array | None = None


def _sample(layer: Array, map_x: Array, map_y: Array) -> Array:
    return cv2.remap(layer, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@dataclass(frozen=True)
class FaceSurface:
    """The visible face surface: face coordinates `x`, `y`, `depth` and coverage `alpha` of a region's pixels."""

    roi: tuple[slice, slice]
    x: Array
    y: Array
    depth: Array
    alpha: Array


def face_surface(radii: ShellRadii, relief: Array, field: Array, view: View) -> FaceSurface:
    """Turn the head by the view's yaw: a closed form for the cylinder, three fixed-point steps for the relief."""
    top, bottom = radii.span
    roi = view.roi(-1.45, top - 0.03, 1.45, bottom + 0.03)
    u, v = view.axes(roi)
    a, b, width, shift = turn_radii(radii, v, view.yaw)
    sin, cos = np.float32(np.sin(view.yaw)), np.float32(np.cos(view.yaw))
    shape = (v.shape[0], u.shape[1])
    y = np.broadcast_to(v, shape).astype(np.float32)
    bump = np.zeros(shape, np.float32)
    x, src_y, theta = bump, y, bump
    for _ in range(3):
        theta = np.arcsin(np.clip((u - bump * sin) / width, -1, 1)) - shift
        x = a * np.sin(np.clip(theta, -np.pi / 2, np.pi / 2))
        moved = _sample(field, ((x + X_HALF) * (DENSITY / WARP_STEP)), ((y - Y_TOP) * (DENSITY / WARP_STEP)))
        src_x, src_y = x - moved[..., 0], y - moved[..., 1]
        bump = _sample(relief, (src_x + X_HALF) * DENSITY - 0.5, (src_y - Y_TOP) * DENSITY - 0.5) + moved[..., 2]
        x = src_x
    depth = -a * np.sin(theta) * sin + b * np.cos(theta) * cos + bump * cos
    alpha = np.clip((width - np.abs(u)) * view.scale + 0.5, 0, 1) * np.clip((bottom - y) * view.scale, 0, 1)
    return FaceSurface(roi, x, src_y, depth.astype(np.float32), alpha.astype(np.float32))


def head_layer(person: Person, snapshot: Snapshot, atlas: FaceAtlas, surface: FaceSurface, view: View) -> Layer:
    """Return the face with its eyes."""
    map_x, map_y = (surface.x + X_HALF) * DENSITY - 0.5, (surface.y - Y_TOP) * DENSITY - 0.5
    albedo = _sample(atlas.albedo, map_x, map_y)
    gloss, ambient = _sample(atlas.gloss, map_x, map_y), _sample(atlas.cavity, map_x, map_y)
    depth, glow = surface.depth.copy(), np.zeros_like(surface.depth)
    for side in (-1, 1):
        near = (np.abs(surface.x - side * EYE_X) < 0.40) & (np.abs(surface.y) < 0.30)
        rows, cols = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
        part = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
        height, spark = paint_eye(
            person,
            snapshot,
            side,
            surface.x[part],
            surface.y[part],
            albedo[part],
            gloss[part],
            ambient[part],
            view.scale,
        )
        depth[part] += height
        glow[part] += spark
    return Layer(surface.roi, "skin", surface.alpha, depth, albedo, gloss, ambient, glow)


def hair_layers(atlas: HairAtlas, view: View) -> tuple[Layer, Layer]:
    """Return (hair behind the neck or pony tail, hair over the head)."""
    top, bottom = atlas.radii.span
    reach = float(np.hypot(atlas.radii.a, atlas.radii.b * np.sin(view.yaw)).max()) + 0.12
    roi = view.roi(-reach, top - 0.05, reach, bottom)
    u, v = view.axes(roi)
    a, b, width, shift = turn_radii(atlas.radii, v, view.yaw)
    sin, cos = np.float32(np.sin(view.yaw)), np.float32(np.cos(view.yaw))
    shape = (v.shape[0], u.shape[1])
    flat_x = np.broadcast_to((u + HAIR_X_HALF) * HAIR_DENSITY, shape).astype(np.float32)
    map_y = np.broadcast_to((v - HAIR_TOP) * HAIR_DENSITY - 0.5, shape).astype(np.float32)
    inside = (v > top + 0.004).astype(np.float32)
    ragged = width + _sample(atlas.outline, flat_x, map_y) * np.clip(width / 0.5 - 0.3, 0, 1)
    theta = np.arcsin(np.clip(u / np.maximum(ragged, 0.02), -1, 1)) - shift
    map_x = (a * np.sin(np.clip(theta, -np.pi / 2, np.pi / 2)) + HAIR_X_HALF) * HAIR_DENSITY - 0.5
    silhouette = np.clip((ragged - np.abs(u)) * view.scale * 0.45 + 0.5, 0, 1) * inside
    relief, color = _sample(atlas.relief, map_x, map_y), _sample(atlas.color, map_x, map_y)
    depth = -a * np.sin(theta) * sin + b * np.cos(theta) * cos + relief
    front = silhouette * _sample(atlas.alpha, map_x, map_y)
    gloss, ones = np.full(shape, 0.5, np.float32), np.ones(shape, np.float32)
    shade, back_depth = (0.95, 0.35) if atlas.tail else (0.42, -1.0)
    back = Layer(
        roi,
        "hair",
        (silhouette * _sample(atlas.fall, flat_x, map_y)).astype(np.float32),
        relief + back_depth,
        color * shade,
        gloss * 0.3,
        ones * 0.8,
    )
    ambient = np.clip(0.80 + 2.6 * relief, 0.45, 1.15).astype(np.float32)
    return back, Layer(roi, "hair", front.astype(np.float32), depth.astype(np.float32), color, gloss, ambient)


def ball_layer(person_color: Array, atlas: HairAtlas, view: View) -> Layer | None:
    """Return the knot of a bun on top of the head, or None."""
    if atlas.ball is None:
        return None
    cy, radius = atlas.ball
    cx = -0.55 * float(np.sin(view.yaw))
    roi = view.roi(cx - radius - 0.1, cy - radius - 0.1, cx + radius + 0.1, cy + radius + 0.1)
    u, v = view.axes(roi)
    r = np.hypot((u - cx) / 1.12, v - cy) / radius
    angle = np.arctan2(v - cy, u - cx)
    swirl = np.sin(angle * 3 + r * 9)
    depth = (radius * np.sqrt(np.clip(1 - r * r, 0, 1)) - 0.9 + 0.03 * swirl).astype(np.float32)
    alpha = np.clip((1 - r) * radius * view.scale * 0.6 + 0.5, 0, 1).astype(np.float32)
    albedo = (person_color * (0.85 + 0.20 * swirl)[..., None]).astype(np.float32)
    ones = np.ones_like(alpha)
    return Layer(roi, "hair", alpha, depth, albedo, 0.4 * ones, 0.85 * ones)


def _place(
    atlas: PartAtlas, affine: Array, roi: tuple[slice, slice], material: Literal["skin", "cloth", "hair"]
) -> Layer:
    """Warp an atlas into a region: `affine` (2, 3) maps region pixels to atlas pixels."""
    size = (roi[1].stop - roi[1].start, roi[0].stop - roi[0].start)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP

    def warp(layer: Array, border: int) -> Array:
        return cv2.warpAffine(layer, affine, size, flags=flags, borderMode=border)

    edge = cv2.BORDER_REPLICATE
    return Layer(
        roi,
        material,
        warp(atlas.alpha, cv2.BORDER_CONSTANT),
        warp(atlas.depth, edge),
        warp(atlas.albedo, edge),
        warp(atlas.gloss, edge),
        warp(atlas.ambient, edge),
    )


def body_layer(atlas: PartAtlas, view: View) -> Layer:
    """Return neck and shoulders, which turn a little with the head."""
    top = int(np.clip((BODY_TOP + 0.2) * view.scale + view.oy, 0, view.height - 8))
    roi = (slice(top, view.height), slice(0, view.width))
    k = BODY_DENSITY / view.scale
    squeeze = k / float(np.cos(0.5 * view.yaw))
    shift = 0.25 * float(np.sin(view.yaw))  # the neck is behind the axis of the head's rotation
    x0 = (0.5 - view.ox) * squeeze + (BODY_X_HALF + shift) * BODY_DENSITY - 0.5
    y0 = (top + 0.5 - view.oy) * k - BODY_TOP * BODY_DENSITY - 0.5
    atlas_affine = np.array([[squeeze, 0, x0], [0, k, y0]], np.float32)
    return _place(atlas, atlas_affine, roi, "cloth")


def ear_layer(person: Person, atlas: PartAtlas, radii: ShellRadii, view: View, side: int) -> Layer:
    """Return one ear; it is drawn before the head, which covers its root."""
    y_mid = 0.30 * person.face.length
    a = float(radii.at(np.array([y_mid]))[0][0])
    sin, cos = float(np.sin(view.yaw)), float(np.cos(view.yaw))
    base = side * a * 0.955 * cos - 0.10 * sin
    spread = (side * 0.33 * cos - 0.62 * sin) * person.face.ear
    spread = side * max(side * spread, 0.10)  # an ear turned away hides behind the head and never flips
    height = 0.86 * person.face.ear
    tip = base + spread * EAR_WIDTH / 0.52
    roi = view.roi(
        min(base, tip) - 0.05, y_mid - EAR_HALF_HEIGHT * height, max(base, tip) + 0.05, y_mid + EAR_HALF_HEIGHT * height
    )
    kx = EAR_DENSITY / (view.scale * spread) * 0.52
    ky = EAR_DENSITY / (view.scale * height)
    x0 = (roi[1].start + 0.5 - view.ox) * kx - base * EAR_DENSITY / spread * 0.52 - 0.5
    lean = 0.10 * side * kx / abs(kx)
    y0 = (roi[0].start + 0.5 - view.oy) * ky + (EAR_HALF_HEIGHT - y_mid / height) * EAR_DENSITY - 0.5
    affine = np.array(
        [[kx, -lean * kx * side, x0 + lean * kx * side * (roi[0].stop - roi[0].start) / 2], [0, ky, y0]], np.float32
    )
    layer = _place(atlas, affine, roi, "skin")
    layer.depth = layer.depth - 0.25
    return layer
