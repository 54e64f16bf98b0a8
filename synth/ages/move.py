"""Moving a face from one age to another by the difference of two prototypes: shape, colour and fine texture.

Shape and colour follow Rowland and Perrett (1995), lines `texture.py`. The change is computed in the frame and added to
the photo as a difference, so pixels without a change keep their values.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import StageError
from synth.ages.frame import (
    F32,
    F64,
    Warp,
    border,
    forehead,
    invert_affine,
    mirrored,
    sample_image,
    similarity,
    to_frame,
    transform_points,
    with_forehead,
)
from synth.ages.prototypes import DETAIL_STEP, Prototypes
from synth.ages.texture import TextureChange, aged_lightness, amplitudes
from synth.ages.zones import U8, Zones, face_zones, skin_color_score, skin_tone, to_lab
from synth.masks import measure_face

VERSION = "1"
MAX_STRENGTH = 2.0

_COLOUR_SIGMA_PX = 2.5  # finer differences of two averages are noise from the individuals
_HIGHLIGHT = 25.0  # L* range below white in which skin is lightened less


@dataclass(frozen=True)
class MovedFace:
    """A face after the move: `image` (H, W, 3) uint8 RGB, `landmarks_xy` (68, 2) float32 px, and the age bands.

    `pooled` is True if the difference is that of both genders, because this one has too few people.
    """

    image: U8
    landmarks_xy: NDArray[np.float32]
    source_band: str
    target_band: str
    pooled: bool


@dataclass(frozen=True)
class AgeChange:
    """Target band minus source band: shape (68, 2) frame px, colour (H, W, 3) Lab, texture; its typical faces' shapes.

    `source_lightness` (H, W) is the lightness of the source band above that of the skin, L*.
    """

    shape: F64
    colour: F32
    source_lightness: F32
    texture: TextureChange
    detail_shapes: list[F64]


def move_age(
    image: U8,
    landmarks_xy: NDArray[np.floating],
    gender: str,
    from_age: float,
    to_age: float,
    prototypes: Prototypes,
    *,
    strength: float = 1.0,
) -> MovedFace:
    """Move a face (H, W, 3) uint8 RGB with 68 landmarks to the age band of `to_age` (years).

    `strength` 1 is the difference between the bands' averages, 2 twice that. Only the face, from chin to hairline,
    changes; other pixels keep their values. The same input gives the same output. Raises StageError for a face without
    usable geometry, for equal bands, and for a strength outside 0 to MAX_STRENGTH.
    """
    if not 0 <= strength <= MAX_STRENGTH:
        raise StageError(f"strength must be within 0 to {MAX_STRENGTH}. Got {strength} instead.")
    source, target = prototypes.band_index(from_age), prototypes.band_index(to_age)
    if source == target:
        raise StageError(
            f"ages {from_age} and {to_age} both lie in the age band {prototypes.band_name(source)}: nothing to move."
        )
    measure_face(landmarks_xy, (image.shape[0], image.shape[1]))
    points, mean_xy = np.asarray(landmarks_xy, np.float64), prototypes.mean_xy
    change = _change(prototypes, tuple(prototypes.weights(gender, source, target).tolist()), source, target)
    to_mean = similarity(points, mean_xy)
    moved = points + strength * change.shape @ invert_affine(to_mean)[:, :2].T
    choice = _nearest(transform_points(to_mean, points), change.detail_shapes)
    delta = frame_delta(to_frame(image, points, mean_xy), change, choice, face_zones(mean_xy), strength)
    return MovedFace(
        _apply_to_photo(image, delta, points, moved, mean_xy),
        moved.astype(np.float32),
        prototypes.band_name(source),
        prototypes.band_name(target),
        prototypes.is_pooled(gender, source, target),
    )


@lru_cache(maxsize=12)
def _change(p: Prototypes, weights: tuple[float, ...], source: int, target: int) -> AgeChange:
    def between(values: F32) -> np.ndarray:
        return np.asarray(np.tensordot(weights, values[:, target] - values[:, source], axes=1))

    def at(values: F32, band: int) -> F32:
        return np.asarray(np.tensordot(weights, values[:, band], axes=1), np.float32)

    colour = np.asarray(cv2.GaussianBlur(between(p.colours), (0, 0), _COLOUR_SIGMA_PX), np.float32)
    colour[..., 1:] = cv2.GaussianBlur(colour[..., 1:], (0, 0), 2 * _COLOUR_SIGMA_PX)
    gender = int(np.argmax(weights))
    there = np.isfinite(p.detail_shapes[gender, target]).all(axis=(1, 2)) & (target > source)
    details = p.details[gender, target][there].astype(np.float32) * DETAIL_STEP
    local = np.array([amplitudes(list(face)).mean(axis=1) for face in details], np.float32)
    texture = TextureChange(
        between(p.textures).astype(np.float32), at(p.textures, source), at(p.textures, target), details, local
    )
    shapes = [np.asarray(shape, np.float64) for shape in p.detail_shapes[gender, target][there]]
    lightness = np.asarray(cv2.GaussianBlur(at(p.colours[..., 0], source), (0, 0), _COLOUR_SIGMA_PX), np.float32)
    return AgeChange(between(p.shapes), colour, lightness, texture, shapes)


def _nearest(shape: F64, others: list[F64]) -> int | None:
    """Return the index of the nearest shape in the frame, ~index for its mirror image, None without shapes."""
    apart = {k: float(((shape - other) ** 2).sum()) for k, other in enumerate(others)}
    apart |= {~k: float(((shape - mirrored(other)) ** 2).sum()) for k, other in enumerate(others)}
    return min(apart, key=apart.__getitem__) if apart else None


def frame_delta(face: U8, change: AgeChange, choice: int | None, zones: Zones, strength: float) -> F32:
    """Return the change to add to a face in the frame, (H, W, 3) RGB levels, 0 outside the face."""
    lab = to_lab(face)
    tone = skin_tone(lab, zones)
    bare = skin_color_score(lab, tone)
    weight = zones.face * (zones.features + (1 - zones.features) * bare)
    colour_weight = strength * (1 - 0.85 * zones.eyes) * _contrast(lab[..., 0] - tone[0], change, zones)
    delta = colour_weight[..., None] * change.colour
    delta[..., 0] += aged_lightness(lab[..., 0], change.texture, choice, zones, strength)
    delta *= weight[..., None]
    lighter = np.clip((100 - lab[..., 0]) / _HIGHLIGHT, 0, 1)
    delta[..., 0] = np.where(delta[..., 0] > 0, delta[..., 0] * lighter, delta[..., 0])
    aged = cv2.cvtColor(lab + delta, cv2.COLOR_LAB2RGB)
    return np.asarray(aged * 255 - face, np.float32)


def _contrast(lightness: F32, change: AgeChange, zones: Zones) -> F32:
    """Return (H, W) up to 1: brows with less contrast to the skin than average fade by less."""
    has = np.clip(-lightness / np.maximum(-change.source_lightness, 1.0), 0, 1)
    fades = (change.source_lightness < 0) & (change.colour[..., 0] > 0)
    return np.asarray(np.where(fades, 1 - zones.features * (1 - has), 1), np.float32)


def _apply_to_photo(image: U8, delta: F32, points: F64, moved: F64, mean_xy: F64) -> U8:
    """Warp the photo from `points` to `moved` and add the frame's delta, only in a box around the face."""
    x0, y0, x1, y1 = _box(np.vstack([points, moved]), image.shape)
    corner, size_wh = np.array([x0, y0], np.float64), (x1 - x0, y1 - y0)
    rim = border(*size_wh)
    rim_in_frame = transform_points(similarity(moved, mean_xy), rim + corner)
    warp = Warp(np.vstack([with_forehead(moved) - corner, rim]), size_wh)
    photo_map, frame_map = warp.maps(
        np.vstack([with_forehead(points), rim + corner]), np.vstack([with_forehead(mean_xy), rim_in_frame])
    )
    own = np.stack(np.meshgrid(np.arange(x0, x1), np.arange(y0, y1)), axis=-1).astype(np.float32)
    photo_map = own + (photo_map - own) * _window(size_wh)[..., None]
    warped = sample_image(image, photo_map, cv2.INTER_CUBIC).astype(np.float32)
    added = sample_image(delta, frame_map, border_mode=cv2.BORDER_CONSTANT)
    out = image.copy()
    out[y0:y1, x0:x1] = np.rint(np.clip(warped + added, 0, 255))
    return out


def _box(points: F64, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return the box around the face with a margin of a third of its size, inside the image."""
    outline = np.vstack([points, forehead(points[:68]), forehead(points[68:])])
    low, high = outline.min(axis=0), outline.max(axis=0)
    spare = 0.33 * float((high - low).max())
    x0, y0 = np.maximum(np.floor(low - spare), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(high + spare).astype(int) + 1, [shape[1], shape[0]])
    return int(x0), int(y0), int(x1), int(y1)


def _window(size_wh: tuple[int, int]) -> F32:
    """Return (H, W) weights: 1 inside, smoothly 0 at the rim, so that the warp has no seam."""
    sides = []
    for size in size_wh:
        share = np.clip(np.minimum(np.arange(size), np.arange(size)[::-1]) / (0.12 * size), 0, 1)
        sides.append(share * share * (3 - 2 * share))
    return np.asarray(np.outer(sides[1], sides[0]), np.float32)
