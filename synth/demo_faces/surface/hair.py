"""Head hair: a shell around the head with an opening for the face, and the colour and relief of its strands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from synth.demo_faces.parameters import HairTraits, Person
from synth.demo_faces.surface.grid import Array, line_noise, smoothstep, value_noise
from synth.demo_faces.surface.head import CROWN_Y, ShellRadii, head_radii

HAIR_DENSITY = 80.0  # atlas pixels per head unit
HAIR_X_HALF = 2.1
HAIR_TOP, HAIR_BOTTOM = -2.9, 3.4
SILVER: Final = np.array([0.47, 0.46, 0.45], np.float32)  # linear RGB of white hair


@dataclass(frozen=True)
class HairStyle:
    """Parameters of a hair style.

    `top`, `side`: thickness in head units; `falls`: half-widths of the shell below the ears as (y, half-width), empty
    for hair that ends at the ears; `flow`: "parted" (along the face), "back" (away from it), "over" (to one side),
    "tuft" or "curl"; `cover`: how far the sides cover the cheeks; `rough`: raggedness of the outline.
    """

    top: float
    side: float
    falls: tuple[tuple[float, float], ...]
    flow: str
    cover: float
    rough: float
    ball: bool = False
    tail: bool = False

    @property
    def long(self) -> bool:
        """True if the hair falls down both sides of the face and hides the ears."""
        return bool(self.falls) and not self.tail


STYLES: Final[dict[str, HairStyle]] = {
    "short_side": HairStyle(0.21, 0.060, (), "over", 0.0, 0.35),
    "crop": HairStyle(0.12, 0.055, (), "tuft", 0.0, 0.40),
    "textured": HairStyle(0.25, 0.060, (), "tuft", 0.0, 0.80),
    "swept_back": HairStyle(0.20, 0.050, (), "back", 0.0, 0.25),
    "buzz": HairStyle(0.035, 0.022, (), "tuft", 0.0, 0.15),
    "bald_top": HairStyle(0.02, 0.045, (), "tuft", 0.0, 0.35),
    "curly_short": HairStyle(0.34, 0.21, (), "curl", 0.10, 1.00),
    "tied_back": HairStyle(0.08, 0.040, ((0.8, 1.18), (1.6, 1.25), (2.7, 1.25)), "back", 0.0, 0.15, tail=True),
    "bun": HairStyle(0.09, 0.040, (), "back", 0.0, 0.18, ball=True),
    "bob": HairStyle(0.16, 0.15, ((0.6, 1.36), (1.1, 1.40), (1.5, 1.28)), "parted", 0.55, 0.25),
    "long_straight": HairStyle(0.13, 0.12, ((0.7, 1.30), (1.6, 1.36), (2.4, 1.45), (3.1, 1.40)), "parted", 0.55, 0.20),
    "long_wavy": HairStyle(0.17, 0.17, ((0.7, 1.42), (1.6, 1.55), (2.4, 1.62), (2.9, 1.45)), "parted", 0.50, 0.45),
    "curly_long": HairStyle(0.32, 0.36, ((0.6, 1.66), (1.3, 1.74), (1.9, 1.62), (2.2, 1.30)), "curl", 0.50, 1.00),
}


@dataclass(frozen=True)
class HairAtlas:
    """Layers on the hair grid (x in +-HAIR_X_HALF, y from HAIR_TOP to HAIR_BOTTOM), (H, W) float32.

    `radii` is the shell. `alpha` has the opening for the face, `fall` does not (hair behind the neck);
    `color` (H, W, 3) linear RGB; `relief` in head units; `outline` shifts the silhouette, head units. `tail`: `fall`
    is a pony tail in front of the shoulder; `ball` is the knot of a bun as (y, radius), or None.
    """

    radii: ShellRadii
    alpha: Array
    fall: Array
    color: Array
    relief: Array
    outline: Array
    tail: bool
    ball: tuple[float, float] | None


def _grid() -> tuple[Array, Array]:
    cols, rows = round(2 * HAIR_X_HALF * HAIR_DENSITY), round((HAIR_BOTTOM - HAIR_TOP) * HAIR_DENSITY)
    x = (np.arange(cols, dtype=np.float32) + 0.5) / HAIR_DENSITY - HAIR_X_HALF
    y = (np.arange(rows, dtype=np.float32) + 0.5) / HAIR_DENSITY + HAIR_TOP
    return np.broadcast_to(x, (rows, cols)), np.broadcast_to(y[:, None], (rows, cols))


def hair_radii(person: Person) -> ShellRadii:
    """Return the outer surface of the hair."""
    style, hair = STYLES[person.hair.style], person.hair
    head = head_radii(person)
    top_extra = style.top * hair.volume * (1 - 0.5 * hair.thinning)
    side_extra = style.side * (0.6 + 0.4 * hair.volume)
    top = CROWN_Y * person.face.forehead
    a_knots, b_knots = [(top - top_extra, 0.0)], [(top - top_extra, 0.0)]
    for y in np.linspace(top, 0.1, 14)[1:]:
        a, b = (float(r[0]) for r in head.at(np.array([y])))
        grown = np.sqrt(min(1.0, 2.2 * (y - top) / -top))
        a_knots.append((y + top_extra * y / -top, a + side_extra * grown))
        b_knots.append((y + top_extra * y / -top, b + 0.6 * side_extra))
    if style.falls:
        stretch = 1 + 0.22 * (hair.length - 0.5)
        swell = 0.82 + 0.18 * hair.volume
        falls = [(y * stretch, half * swell) for y, half in style.falls]
        falls.append((falls[-1][0] + 0.14, 0.7 * falls[-1][1]))
        a_knots += falls
        b_knots += [(y, 1.0) for y, _ in falls]
    else:
        for y in (0.45, 0.9):
            a, b = (float(r[0]) for r in head.at(np.array([y])))
            a_knots.append((y, a + 0.4 * side_extra))
            b_knots.append((y, b))
    return ShellRadii.through(a_knots, b_knots)


def hairline(person: Person, x: Array) -> Array:
    """Return y of the front edge of the hair over the forehead at `x`."""
    hair, style = person.hair, STYLES[person.hair.style]
    ax = np.abs(x)
    line = -1.13 * person.face.forehead - hair.hairline + 0.16 * np.clip(ax - 0.25, 0, 2) ** 1.5
    line = line - 0.40 * hair.recede * np.exp(-(((ax - 0.52) / 0.24) ** 2)) + 0.03 * np.cos(x * 5 + hair.part * 9)
    if style.flow == "parted":
        curtain = -1.24 * person.face.forehead - hair.hairline + 0.52 * np.abs(x - hair.part) ** 1.25
        line = np.minimum(np.maximum(line - 0.1, curtain), -0.3)
    if style.flow == "over":
        line = line - 0.10 * np.sign(hair.part) * x + 0.02
    if hair.style == "bald_top":
        line = line - 9.0  # hair on the sides only
    if hair.fringe > 0 and style.flow != "back" and hair.style != "buzz":
        low = -0.56 - 0.10 * (1 - hair.fringe) + 0.10 * (x * 1.1) ** 2 + 0.04 * hair.part * x
        line = np.where(ax < 0.9, np.maximum(line, low), line)
    return line.astype(np.float32)


def _side_edge(person: Person, y: Array) -> Array:
    """Return |x| beyond which hair covers the face, per height."""
    style = STYLES[person.hair.style]
    a, _ = head_radii(person).at(np.minimum(y, 1.0))
    rim = np.interp(y, [-1.2, -0.75, -0.35, 0.0, 0.3, 0.6], [0.70, 0.80, 0.885, 0.95, 0.985, 1.03]) * a
    if person.hair.style == "bald_top":
        rim = np.interp(y, [-1.5, -0.9, -0.4, 0.0, 0.3, 0.6], [1.12, 1.0, 0.93, 0.955, 0.985, 1.03]) * a
    if style.long:
        drop = np.interp(y, [-0.8, -0.2, 0.4, 1.0, 1.6, 2.4, 3.2], [0.82, 0.98, 1.0, 0.97, 0.84, 0.80, 0.84])
        rim = rim + (drop - 0.12 * (style.cover - 0.5) - rim) * np.clip((y + 0.9) / 0.7, 0, 1)
    elif style.cover:
        rim = rim - style.cover * 0.25
    return rim.astype(np.float32)


def _strands(person: Person, rng: np.random.Generator, x: Array, y: Array, a: Array) -> tuple[Array, Array]:
    """Return (fine strands, coarse locks), both with about unit variance."""
    hair, style = person.hair, STYLES[person.hair.style]
    theta = np.arcsin(np.clip(x / a, -1, 1) * 0.9) * 1.2  # compressed at the rim, where strands would alias
    wobble = 0.03 * value_noise(rng, x.shape, (60, 60)) + 0.012 * value_noise(rng, x.shape, (22, 22))
    wave = 0.075 * hair.wave * np.sin(y * 2 * np.pi / hair.wave_length + 2.2 * value_noise(rng, x.shape, (120, 60)))
    if hair.style == "long_wavy":
        wave = wave * 1.2 + 0.050 * np.sin(y * 2 * np.pi / hair.wave_length + np.sign(x) * 0.6)
    if style.flow == "curl":
        turn_x, turn_y = value_noise(rng, x.shape, (11, 11)), value_noise(rng, x.shape, (11, 11))
        across, along = theta + 0.045 * turn_x + 4, y + 0.045 * turn_y + 4
        fine = line_noise(rng, across, along * 3.0, 60.0)
        locks = line_noise(rng, theta + 0.05 * turn_x + 4, (y + 0.06 * turn_y + 4) * 2.5, 9.0)
        return fine, (0.75 * locks + 0.5 * turn_x).astype(np.float32)
    if hair.style == "buzz":
        fine = value_noise(rng, x.shape, (1.4, 1.3))
        return fine, 0.6 * value_noise(rng, x.shape, (4, 4)) + 0.5 * value_noise(rng, x.shape, (40, 40))
    if style.flow == "parted" and hair.fringe > 0:
        across, along = theta * 1.1 + 3, y * 0.55  # combed straight down from the crown
    elif style.flow == "parted":
        level = np.sqrt(((theta - hair.part * 0.6) / 0.95) ** 2 + (np.minimum(y + 0.35, 0.0) / 1.0) ** 2)
        across, along = level * np.where(x > hair.part, 1, -1) + 3, y * 0.55
    elif style.flow == "over":
        turn = np.clip((np.abs(theta) - 0.55) / 0.6, 0, 1) * np.clip((y + 1.3) / 0.6, 0, 1)
        across = (1 - turn) * (y * 0.95 + 0.55 * np.sign(hair.part) * theta + 0.3 * theta**2) + turn * theta + 4
        along = theta * 0.8
    elif style.flow == "back":
        across, along = np.arctan2(theta, -(y + 0.1)) * 1.1 + 4, np.hypot(theta, y) * 0.6
    else:
        lean = 0.9 * hair.part + 0.5 * value_noise(rng, x.shape, (34, 34))  # tufts with random directions
        across = theta * np.cos(lean) - (y + 0.9) * np.sin(lean) * 0.8 + 4
        along = np.hypot(theta, y) * 1.6
    across, along = (across + wobble + wave).astype(np.float32), np.asarray(along + 4, np.float32)
    return line_noise(rng, across, along, 70.0), line_noise(rng, across, along * 0.7, 13.0)


def _tail(person: Person, x: Array, y: Array, locks: Array) -> Array:
    """Return the coverage of a pony tail in front of one shoulder."""
    side = 1.0 if person.hair.part > 0 else -1.0
    middle = side * (0.66 + 0.24 * smoothstep(1.0, 2.3, y))
    end = 2.2 + 0.4 * person.hair.length
    half = 0.21 * np.clip(1.15 - ((y - 1.9) / 1.1) ** 2, 0.1, 1)
    strand = smoothstep(0.02, -0.05, np.abs(x - middle) - half + 0.02 * locks)
    return strand * smoothstep(0.7, 0.9, y) * smoothstep(end, end - 0.3, y + 0.06 * locks)


def _coverage(person: Person, radii: ShellRadii, x: Array, y: Array, fine: Array, locks: Array) -> tuple[Array, Array]:
    """Return (`alpha`, `fall`) of the atlas, with edges made ragged by strands."""
    hair, style = person.hair, STYLES[person.hair.style]
    open_top = y - hairline(person, x[0])[None, :]
    open_side = _side_edge(person, y[:, 0])[:, None] - np.abs(x)
    k = 0.12  # soft minimum, which rounds the corner at the temples
    opening = -k * np.log(np.exp(-np.clip(open_top, -2, 2) / k) + np.exp(-np.clip(open_side, -2, 2) / k))
    soft = 0.035 + 0.03 * hair.thinning
    alpha = smoothstep(soft, -soft, opening + 0.035 * locks * (0.5 + style.rough) + 0.022 * fine)
    fall = np.zeros_like(alpha)
    if style.long:
        bottom = radii.span[1]
        fall = smoothstep(bottom - 0.05, bottom - 0.22, y + 0.07 * locks + 0.03 * fine)
        alpha = alpha * fall
    else:
        fall = _tail(person, x, y, locks) if style.tail else fall
        bottom = 0.42 if style.flow != "back" or hair.style == "swept_back" else 0.15
        bottom -= 0.12 * (person.skin.stubble == 0)  # no sideburns without stubble
        alpha = alpha * smoothstep(bottom, bottom - 0.28, y + 0.05 * fine)
    if hair.style == "buzz":
        alpha = alpha * (0.72 + 0.10 * fine)
    scalp = np.clip(hair.thinning - 0.25, 0, 0.6) * smoothstep(-0.8, -1.4, y)
    return alpha * (1 - scalp * np.clip(0.6 + 0.5 * fine, 0, 1)), fall


def _strand_color(hair: HairTraits, x: Array, y: Array, fine: Array, locks: Array) -> Array:
    """Return strands of natural colour and grey ones, first at the temples; roots are darker than tips."""
    root = 1.0 - 0.22 * smoothstep(-0.9, -1.6, y) + 0.10 * smoothstep(0.2, 2.2, y)
    tone = np.clip((1.0 + 0.24 * fine + 0.15 * locks) * root, 0.30, 2.2)
    temples = 0.25 * np.exp(-(((np.abs(x) - 1.0) / 0.3) ** 2 + ((y + 0.2) / 0.5) ** 2))
    mixed = 0.26 * fine * (1 - abs(2 * hair.grey - 1))
    grey = np.clip(2.6 * (hair.grey * (1.15 + temples) - 0.5) + 0.5 + mixed, 0, 1) * min(1.0, 3 * hair.grey)
    silver = SILVER * np.clip(0.9 + 0.14 * fine + 0.10 * locks, 0.3, 1.5)[..., None]
    natural = np.array(hair.color, np.float32) * tone[..., None]
    return np.clip(natural + (silver - natural) * grey[..., None], 0, 1)


def build_hair(person: Person) -> HairAtlas:
    """Build all hair layers of `person`."""
    rng = np.random.default_rng([person.seed, 2])
    style = STYLES[person.hair.style]
    radii = hair_radii(person)
    x, y = _grid()
    fine, locks = _strands(person, rng, x, y, radii.at(y[:, 0])[0][:, None])
    alpha, fall = _coverage(person, radii, x, y, fine, locks)
    depth = {"curl": 0.036, "parted": 0.022, "over": 0.026}.get(style.flow, 0.030)
    relief = (0.013 * fine + depth * locks) * (0.3 if person.hair.style in ("buzz", "bald_top") else 1.0)
    outline = cv2.GaussianBlur((0.030 * locks + 0.012 * fine).astype(np.float32), (0, 0), 1.2)
    outline = outline * style.rough * (1.3 if style.flow == "curl" else 1.0) + 0.006 * fine
    drawn = (alpha, fall, _strand_color(person.hair, x, y, fine, locks), relief, outline)
    ball = (CROWN_Y * person.face.forehead - 0.22, 0.44) if style.ball else None
    alpha, fall, color, strands, edge = (layer.astype(np.float32) for layer in drawn)
    return HairAtlas(radii, alpha, fall, color, strands, edge, style.tail, ball)
