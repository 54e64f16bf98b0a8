"""Immutable parameters of a rendered person and of one snapshot.

Lengths are in head units (1 = distance between the pupils), colours are linear RGB in [0, 1], amounts are in [0, 1]
unless stated.
"""

from __future__ import annotations

from dataclasses import dataclass

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class FaceShape:
    """Shape of the face; factors are relative to 1."""

    width: float
    cheek: float
    jaw: float
    chin_width: float
    length: float
    forehead: float
    brow_ridge: float
    nose_length: float
    nose_width: float
    nose_height: float
    nose_tip: float
    cheekbone: float
    lip_width: float
    lip_upper: float
    lip_lower: float
    chin_out: float
    ear: float
    neck: float


@dataclass(frozen=True)
class EyeTraits:
    """Shape and colour of eyes and eyebrows."""

    size: float
    opening: float
    slant: float  # height of the outer corner above the inner one, head units
    crease: float  # 0: no visible lid fold
    iris: Rgb
    lash: float
    brow_thickness: float
    brow_arch: float
    brow_height: float
    brow_density: float


@dataclass(frozen=True)
class SkinTraits:
    """Skin, its signs of age, and facial hair."""

    tone: Rgb
    lip: Rgb
    redness: float
    freckles: float
    spots: float
    texture: float
    wrinkles: float
    sag: float
    bags: float
    makeup: float
    stubble: float
    beard: float
    moustache: float
    shine: float


@dataclass(frozen=True)
class HairTraits:
    """Head hair; `style` is a key of `surface.STYLES`."""

    style: str
    color: Rgb
    grey: float
    brow_color: Rgb
    volume: float
    hairline: float  # raise of the line over the forehead, head units
    recede: float  # depth of the bays at the temples
    part: float  # x of the parting
    fringe: float  # 0: bare forehead, 1: covered down to the eyebrows
    wave: float
    wave_length: float
    length: float
    thinning: float


@dataclass(frozen=True)
class Outfit:
    """Clothes, glasses and background of the photos."""

    kind: str
    color: Rgb
    second: Rgb
    glasses: str
    frame: Rgb
    shoulder: float
    backdrop: str
    wall: Rgb
    wall_second: Rgb


@dataclass(frozen=True)
class Person:
    """A rendered person: the true labels, and everything that is the same in all photos."""

    number: int
    gender: str
    age: int
    seed: int
    face: FaceShape
    eyes: EyeTraits
    skin: SkinTraits
    hair: HairTraits
    outfit: Outfit


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of a person: pose, expression, light and camera."""

    seed: int
    yaw_deg: float
    roll_deg: float
    scale_px: float  # pixels per head unit
    eye_x_px: float
    eye_y_px: float
    smile: float
    brow_raise: float
    squint: float
    gaze: float
    light_azimuth_deg: float
    light_elevation_deg: float
    ambient: float
    exposure: float
    warmth: float
    noise: float
    blur_px: float
    jpeg_quality: int
