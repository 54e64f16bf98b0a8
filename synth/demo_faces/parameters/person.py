"""What a rendered person and one snapshot of them are made of: plain immutable parameters.

Lengths are in head units (1 = distance between the pupils), colours are linear RGB in [0, 1], amounts are in [0, 1]
unless stated. `sampling.py` draws them; the other modules turn them into pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class FaceShape:
    """Bones and soft tissue; factors are relative to 1."""

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
class EyeLook:
    """Eyes and eyebrows."""

    size: float
    opening: float
    slant: float  # head units that the outer corner lies above the inner one
    crease: float  # 0: no visible lid fold
    iris: Rgb
    lash: float
    brow_thickness: float
    brow_arch: float
    brow_height: float
    brow_density: float


@dataclass(frozen=True)
class SkinLook:
    """Skin, its age and facial hair."""

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
class HairLook:
    """Head hair. `style` names an entry of `hair.STYLES`."""

    style: str
    color: Rgb
    grey: float
    brow_color: Rgb
    volume: float
    hairline: float  # how far the forehead line is raised, head units
    recede: float  # depth of the bays at the temples
    part: float  # x of the parting
    fringe: float  # 0: forehead free, 1: covered down to the eyebrows
    wave: float
    wave_length: float
    length: float
    thinning: float


@dataclass(frozen=True)
class Outfit:
    """Clothes, glasses and the place the person is photographed at."""

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
    """One rendered person: the true labels and everything that stays the same over the seven shots."""

    number: int
    gender: str
    age: int
    seed: int
    face: FaceShape
    eyes: EyeLook
    skin: SkinLook
    hair: HairLook
    outfit: Outfit


@dataclass(frozen=True)
class Shot:
    """One snapshot: pose, expression, light and camera."""

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
