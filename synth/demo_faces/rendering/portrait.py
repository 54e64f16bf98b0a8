"""Portraits: the image and the true landmarks of a person in one snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.demo_faces.parameters import Person, Snapshot
from synth.demo_faces.rendering import landmarks
from synth.demo_faces.rendering.backdrop import build_backdrop, place_backdrop
from synth.demo_faces.rendering.layers import (
    Layer,
    ball_layer,
    body_layer,
    ear_layer,
    face_surface,
    hair_layers,
    head_layer,
)
from synth.demo_faces.rendering.lighting import cast_shadow, shade_layer, tone_map
from synth.demo_faces.rendering.view import HEIGHT_PX, WIDTH_PX, View, expression_field, picture_points, roll_map
from synth.demo_faces.surface import (
    STYLES,
    Array,
    FaceAtlas,
    HairAtlas,
    PartAtlas,
    ShellRadii,
    build_body,
    build_ear,
    build_face,
    build_hair,
    glasses_overlay,
    head_radii,
)


@dataclass(frozen=True)
class PersonModel:
    """The parts of a person that are the same in all snapshots, ready to render."""

    person: Person
    radii: ShellRadii
    face: FaceAtlas
    hair: HairAtlas
    body: PartAtlas
    ear: PartAtlas
    backdrop: Array


@dataclass(frozen=True)
class Portrait:
    """A snapshot before camera effects: `image` (512, 384, 3) RGB uint8, `landmarks_xy` (68, 2) float32 px."""

    image: NDArray[np.uint8]
    landmarks_xy: Array


def build_model(person: Person) -> PersonModel:
    """Build the person's parts (about 0.1 s)."""
    return PersonModel(
        person,
        head_radii(person),
        build_face(person),
        build_hair(person),
        build_body(person),
        build_ear(person),
        build_backdrop(person),
    )


def _layers(model: PersonModel, snapshot: Snapshot, view: View) -> tuple[list[Layer], Array]:
    """Return the layers from back to front, and the expression field."""
    person = model.person
    field = expression_field(person, snapshot)
    surface = face_surface(model.radii, model.face.relief, field, view)
    back, front = hair_layers(model.hair, view)
    ears = [ear_layer(person, model.ear, model.radii, view, side) for side in (-1, 1)]
    head = head_layer(person, snapshot, model.face, surface, view)
    ball = ball_layer(model.hair.color.mean(axis=(0, 1)), model.hair, view)
    body = body_layer(model.body, view)
    if STYLES[person.hair.style].long:
        order = [back, body, head, front]
    else:
        order = [body, back, *ears, head, front] if model.hair.tail else [body, *ears, head, front]
    return ([ball, *order] if ball is not None else order), field


def _compose(layers: list[Layer], snapshot: Snapshot, view: View) -> Array:
    """Return premultiplied linear RGB and coverage on the canvas, (4, H, W)."""
    depth = np.full((view.height, view.width), -3.0, np.float32)
    for layer in layers:
        target = depth[layer.roi]
        target += (layer.depth - target) * (layer.alpha > 0.5)
    shadow = cast_shadow(depth, snapshot, view.scale)
    canvas = np.zeros((4, view.height, view.width), np.float32)
    for layer in layers:
        part = (slice(None), *layer.roi)
        lit = shade_layer(layer, shadow[part], snapshot, view.scale)
        canvas[part] *= 1 - layer.alpha
        canvas[part][:3] += lit * layer.alpha
        canvas[part][3] += layer.alpha
    return canvas


def _add_glasses(
    model: PersonModel, color: Array, snapshot: Snapshot, view: View, project: landmarks.Projector
) -> None:
    frame, lens = glasses_overlay(model.person, project, color.shape[1:], view.scale)
    shade_px = max(1.0, 0.05 * view.scale)
    soft = cv2.GaussianBlur(frame, (0, 0), shade_px)
    drop = np.roll(soft, (round(1.6 * shade_px), round(-shade_px * np.sign(snapshot.light_azimuth_deg))), (0, 1))
    color *= 1 - 0.30 * drop * (1 - frame)
    tint = 0.05 * lens
    rows = np.linspace(0, 1, color.shape[1], dtype=np.float32)[:, None]
    glint = (
        np.clip(np.sin(rows * 31 + np.linspace(0, 9, color.shape[2], dtype=np.float32)[None, :]) - 0.86, 0, 1)
        * lens
        * 0.35
    )
    color *= 1 - tint
    color += glint * 0.5
    rim = np.array(model.person.outfit.frame, np.float32)[:, None, None]
    edge = np.clip(frame - np.roll(frame, 1, axis=0), 0, 1) * 0.25
    color += (rim * 0.9 - color) * frame
    color += edge * 0.5


def render_snapshot(model: PersonModel, snapshot: Snapshot) -> Portrait:
    """Draw one snapshot; the camera's noise, blur and compression come later (`develop`, `encode`)."""
    view = View.of(snapshot)
    layers, field = _layers(model, snapshot, view)
    canvas = _compose(layers, snapshot, view)
    project = landmarks.Projector(model.radii, model.face.relief, field, view)
    if model.person.outfit.glasses != "none":
        _add_glasses(model, canvas[:3], snapshot, view, project)
    maps = roll_map(snapshot)
    fixed = cv2.convertMaps(*maps, cv2.CV_16SC2)  # integer maps: the same result in half the time
    canvas = np.stack([cv2.remap(p, *fixed, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for p in canvas])
    rng = np.random.default_rng(snapshot.seed)
    shift = np.clip(rng.normal(0, 0.4, 2), -1, 1)
    behind = place_backdrop(model.backdrop, float(shift[0]), float(shift[1]), WIDTH_PX, HEIGHT_PX)
    picture = canvas[:3] + np.stack(cv2.split(behind)) * (1 - canvas[3])
    landmarks_xy = picture_points(landmarks.landmarks_canvas(model.person, snapshot, project), maps)
    return Portrait(tone_map(picture, snapshot), landmarks_xy)


@lru_cache(maxsize=1)
def _grain() -> Array:
    """Return a tile of film grain (600, 500, 3) with unit variance: mostly brightness, some colour."""
    rng = np.random.default_rng(20)
    color = cv2.resize(rng.standard_normal((300, 250, 3), dtype=np.float32), (500, 600))
    return (0.8 * rng.standard_normal((600, 500, 1), dtype=np.float32) + 0.5 * color).astype(np.float32)


def apply_camera(image: NDArray[np.uint8], snapshot: Snapshot) -> NDArray[np.uint8]:
    """Apply lens blur and sensor noise to an RGB uint8 image (H, W, 3) of at most 512 x 384."""
    rng = np.random.default_rng([snapshot.seed, 1])
    height, width = image.shape[:2]
    y, x = int(rng.integers(0, 600 - height + 1)), int(rng.integers(0, 500 - width + 1))
    grain = _grain()[y : y + height, x : x + width] * np.float32(255 * snapshot.noise)
    blurred = cv2.GaussianBlur(image, (0, 0), snapshot.blur_px)
    return np.asarray(cv2.add(blurred, grain, dtype=cv2.CV_8U), np.uint8)


def encode_jpeg(image: NDArray[np.uint8], quality: int) -> bytes:
    """Encode an RGB uint8 image as JPEG bytes. Raises RuntimeError if OpenCV fails."""
    ok, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise RuntimeError("OpenCV cannot encode this image as JPEG.")
    return bytes(data)
