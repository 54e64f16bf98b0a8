"""Sampling of a person's appearance: face, eyes, skin, hair and clothes.

`male` is a latent gender cue (about 1 for men, -1 for women), `old` a latent age cue in [0, 1.12], `dark` the skin tone
in [0, 1].
"""

from __future__ import annotations

from typing import Final

import numpy as np

from synth.demo_faces.parameters.person import EyeTraits, FaceShape, HairTraits, Outfit, Rgb, SkinTraits

# sRGB anchors from very light to very dark skin; `sample_skin_tone` interpolates.
_TONES: Final = np.array(
    [[226, 190, 169], [217, 175, 147], [201, 154, 122], [173, 123, 92], [134, 91, 66], [94, 62, 48]], np.float64
)
_HAIR: Final = {
    "black": (34, 29, 28),
    "dark_brown": (48, 33, 25),
    "brown": (84, 56, 38),
    "auburn": (112, 56, 32),
    "dark_blond": (140, 106, 68),
    "blond": (188, 152, 100),
}
_IRIS: Final = {
    "brown": (74, 44, 26),
    "dark": (44, 28, 20),
    "hazel": (104, 80, 44),
    "blue": (92, 122, 150),
    "green": (92, 112, 82),
}


def linear(rgb_255: np.ndarray | tuple[float, ...]) -> Rgb:
    """Convert sRGB, 0 to 255, to linear light in [0, 1]."""
    value = (np.clip(np.asarray(rgb_255, np.float64), 0, 255) / 255.0) ** 2.2
    return float(value[0]), float(value[1]), float(value[2])


def _hsv(hue: float, saturation: float, value: float) -> Rgb:
    """Convert hue in [0, 1), saturation and brightness to linear RGB."""
    phase = np.array([0.0, 2 / 3, 1 / 3])
    ramp = np.clip(np.abs(((hue + phase) % 1.0) * 6 - 3) - 1, 0, 1)
    return linear(255 * value * (1 + saturation * (ramp - 1)))


def _clip_unit(value: float) -> float:
    return float(np.clip(value, 0.0, 1.0))


def _sigmoid(latent: float) -> float:
    """Map a latent cue to (0, 1), 0.5 at 0."""
    return float(1.0 / (1.0 + np.exp(-3.0 * latent)))


def _clipped_normal(rng: np.random.Generator, mean: float, spread: float, low: float, high: float) -> float:
    return float(np.clip(rng.normal(mean, spread), low, high))


def sample_face_shape(rng: np.random.Generator, male: float, old: float) -> FaceShape:
    """Draw the shape of a face."""

    def cue(weight: float, spread: float, low: float, high: float, base: float = 1.0) -> float:
        return _clipped_normal(rng, base + weight * male, spread, low, high)

    return FaceShape(
        width=_clipped_normal(rng, 1.0, 0.025, 0.94, 1.06),
        cheek=cue(-0.008, 0.022, 0.95, 1.06),
        jaw=cue(0.040, 0.035, 0.88, 1.13),
        chin_width=cue(0.070, 0.060, 0.80, 1.24),
        length=cue(0.020, 0.028, 0.92, 1.09),
        forehead=_clipped_normal(rng, 1.0, 0.025, 0.94, 1.06),
        brow_ridge=cue(0.55, 0.35, 0.0, 2.2, 0.85),
        nose_length=cue(0.025 + 0.03 * old, 0.05, 0.88, 1.16),
        nose_width=cue(0.06, 0.12, 0.74, 1.38),
        nose_height=cue(0.05, 0.10, 0.76, 1.26),
        nose_tip=_clipped_normal(rng, 1.0, 0.45, 0.1, 2.2),
        cheekbone=cue(-0.12, 0.35, 0.2, 1.9),
        lip_width=cue(0.02, 0.06, 0.85, 1.16),
        lip_upper=_clipped_normal(rng, 1.0 - 0.12 * male - 0.28 * old, 0.20, 0.50, 1.55),
        lip_lower=_clipped_normal(rng, 1.0 - 0.10 * male - 0.20 * old, 0.17, 0.55, 1.45),
        chin_out=cue(0.25, 0.30, 0.1, 2.0),
        ear=_clipped_normal(rng, 1.0 + 0.10 * old, 0.07, 0.84, 1.25),
        neck=cue(0.10, 0.05, 0.86, 1.24),
    )


def sample_eyes(rng: np.random.Generator, male: float, old: float, dark: float) -> EyeTraits:
    """Draw eyes and eyebrows."""
    light_eyes = 0.48 * max(0.0, 1 - 2.2 * dark)
    if rng.random() < light_eyes:
        iris = _IRIS[str(rng.choice(["blue", "green", "hazel"], p=[0.5, 0.25, 0.25]))]
    else:
        iris = _IRIS[str(rng.choice(["brown", "dark", "hazel"], p=[0.45, 0.45, 0.10]))]
    return EyeTraits(
        size=_clipped_normal(rng, 1.0 - 0.025 * male, 0.05, 0.88, 1.14),
        opening=_clipped_normal(rng, 1.0 - 0.06 * male - 0.16 * old, 0.12, 0.62, 1.28),
        slant=_clipped_normal(rng, 0.018 - 0.022 * old, 0.018, -0.035, 0.062),
        crease=_clip_unit(rng.choice([0.15, 0.85], p=[0.4, 0.6]) + rng.normal(0, 0.15)),
        iris=linear(np.array(iris) * rng.uniform(0.85, 1.15)),
        lash=_clip_unit(rng.normal(0.45 - 0.26 * male - 0.1 * old, 0.20)),
        brow_thickness=_clipped_normal(rng, 1.0 + 0.22 * male, 0.20, 0.55, 1.75),
        brow_arch=_clipped_normal(rng, 0.55 - 0.28 * male, 0.28, -0.2, 1.4),
        brow_height=_clipped_normal(rng, 0.01 - 0.020 * male - 0.02 * old, 0.022, -0.075, 0.075),
        brow_density=_clipped_normal(rng, 0.82 + 0.08 * male - 0.18 * old, 0.12, 0.35, 1.0),
    )


def sample_skin(
    rng: np.random.Generator, gender: str, male: float, old: float, tone: np.ndarray, dark: float
) -> SkinTraits:
    """Draw skin and facial hair; `tone` is its sRGB (3,), 0 to 255."""
    beard = moustache = stubble = 0.0
    if gender == "male":
        stubble = _clip_unit(rng.normal(0.10 + 0.12 * male, 0.22))
        kind = rng.choice(["shaved", "stubble", "full", "goatee", "moustache"], p=[0.56, 0.17, 0.13, 0.07, 0.07])
        if kind == "stubble":
            stubble = float(rng.uniform(0.65, 1.0))
        beard = {"full": 1.0, "goatee": 0.5}.get(str(kind), 0.0)
        moustache = 1.0 if kind in ("full", "goatee", "moustache") else 0.0
    made_up = rng.random() < 0.52 * _sigmoid(-male)
    makeup = float(rng.uniform(0.25, 1.0)) if made_up else 0.0
    lip = tone * np.array([0.90, 0.66, 0.66]) * (1.0 - 0.10 * dark)
    if makeup > 0.45:
        target = np.array([[176, 60, 70], [190, 92, 96], [158, 62, 80], [186, 104, 88]])[rng.integers(4)]
        lip = lip + (target * (1 - 0.3 * dark) - lip) * (0.35 + 0.45 * makeup)
    lip = lip + (tone * 0.92 - lip) * (0.18 + 0.12 * male + 0.22 * old) * (makeup < 0.45)
    return SkinTraits(
        tone=linear(tone),
        lip=linear(lip),
        redness=_clip_unit(rng.normal(0.45 + 0.05 * male, 0.2)),
        freckles=_clip_unit(rng.normal(-0.25, 0.45)) * (1 - dark),
        spots=_clip_unit(rng.normal(1.3 * old - 0.45, 0.22)),
        texture=_clip_unit(rng.normal(0.24 + 0.08 * male + 0.50 * old - 0.2 * makeup, 0.12)),
        wrinkles=_clip_unit(rng.normal(0.02 + 0.90 * old, 0.09)),
        sag=_clip_unit(rng.normal(0.90 * old - 0.06, 0.12)),
        bags=_clip_unit(rng.normal(0.05 + 0.75 * old, 0.17)),
        makeup=makeup,
        stubble=stubble,
        beard=beard,
        moustache=moustache,
        shine=_clip_unit(rng.normal(0.5 - 0.15 * makeup, 0.17)),
    )


_LONG: Final = ("long_straight", "long_wavy", "bob", "curly_long", "tied_back", "bun")
_SHORT: Final = ("short_side", "crop", "textured", "swept_back", "buzz", "curly_short")


def _sample_hair_style(rng: np.random.Generator, male: float, old: float, dark: float) -> str:
    """Draw a key of `surface.STYLES`."""
    soft = _sigmoid(-male)
    short_share = 0.90 + (0.10 + 0.32 * old - 0.90) * soft
    if rng.random() < short_share:
        if soft > 0.5:
            weights = np.array([0.24, 0.20, 0.24, 0.12, 0.02, 0.18])
        else:
            weights = np.array([0.28, 0.20, 0.19, 0.13, 0.10, 0.10])
        weights = weights + np.array([0, 0, 0, 0, 0.08, 0.25]) * dark
        return str(rng.choice(_SHORT, p=weights / weights.sum()))
    weights = np.array([0.26, 0.24, 0.20, 0.06, 0.14, 0.10]) + np.array([0, 0, 0, 0.20, 0.05, 0.08]) * dark
    weights = weights + np.array([-0.1, -0.08, 0.16, 0, 0, 0]) * old
    return str(rng.choice(_LONG, p=weights / weights.sum()))


def sample_hair(rng: np.random.Generator, male: float, apparent_age: float, old: float, dark: float) -> HairTraits:
    """Draw head hair; `apparent_age` in years decides on grey."""
    weights = np.array([0.30, 0.26, 0.19, 0.06, 0.11, 0.08])
    weights = weights * np.array([1 + 4 * dark, 1 + dark, 1 - 0.6 * dark, 1 - dark, 1 - dark, 1 - dark])
    name = str(rng.choice(list(_HAIR), p=weights / weights.sum()))
    base = np.array(_HAIR[name], np.float64) * rng.uniform(0.82, 1.18)
    turn = rng.normal(52.0, 6.5)
    grey = 1.0 / (1.0 + np.exp(-(apparent_age - turn) / 4.5))
    if rng.random() < 0.06 + 0.30 * _sigmoid(-male):
        grey *= rng.uniform(0.05, 0.35)  # dyed
    strength = _sigmoid(male)
    recede = _clip_unit(rng.normal((0.10 + 0.45 * old) * strength, 0.10 + 0.16 * strength))
    thinning = _clip_unit(rng.normal(-0.35 + 0.75 * old, 0.30)) * strength
    style = _sample_hair_style(rng, male, old, dark)
    if thinning > 0.55 and style in _SHORT:
        style = "bald_top" if thinning > 0.68 else "buzz"
    brow = base * (0.72 if base.mean() > 60 else 0.95) + 8
    brow = brow + (np.array([150, 146, 142]) - brow) * (0.55 * grey)
    return HairTraits(
        style=style,
        color=linear(base),
        grey=_clip_unit(grey),
        brow_color=linear(brow),
        volume=_clipped_normal(rng, 1.0 - 0.18 * old, 0.22, 0.5, 1.7),
        hairline=float(rng.normal(0.0, 0.06) + 0.10 * thinning),
        recede=recede,
        part=float(rng.choice([-0.36, 0.36, 0.0], p=[0.4, 0.35, 0.25]) + rng.normal(0, 0.06)),
        fringe=float(rng.uniform(0.7, 1.0)) if rng.random() < 0.10 + 0.16 * _sigmoid(-male) else 0.0,
        wave=_clip_unit(rng.normal(0.3, 0.2)),
        wave_length=float(rng.uniform(0.45, 0.9)),
        length=float(rng.uniform(0.0, 1.0)),
        thinning=thinning,
    )


def sample_outfit(rng: np.random.Generator, male: float, old: float) -> Outfit:
    """Draw clothes, glasses and background."""
    kinds = ["crew", "vneck", "shirt", "blazer", "hoodie", "turtleneck"]
    if male < 0:
        weights = np.array([0.28, 0.26, 0.14, 0.14, 0.09, 0.09])
    else:
        weights = np.array([0.28, 0.08, 0.24, 0.20, 0.15, 0.05])
    weights = weights * np.array([1.2, 1.0, 0.7, 0.6, 1.9, 1.0]) ** (
        1 - 2.5 * old
    )  # hoodies are more common among the young
    weights = weights / weights.sum()
    hue = float(rng.random())
    wall_hue = float(rng.choice([0.58, 0.10, 0.35, 0.05]) + rng.normal(0, 0.03)) % 1.0
    wall = _hsv(wall_hue, float(rng.uniform(0.03, 0.22)), float(rng.uniform(0.50, 0.95)))
    kind = str(rng.choice(kinds, p=weights))
    saturation = float(rng.uniform(0.05, 0.52)) if kind != "blazer" else float(rng.uniform(0.05, 0.35))
    value = float(rng.uniform(0.16, 0.88)) if kind != "blazer" else float(rng.uniform(0.10, 0.42))
    return Outfit(
        kind=kind,
        color=_hsv(hue, saturation, value),
        second=_hsv((hue + 0.45) % 1.0, float(rng.uniform(0.0, 0.3)), float(rng.uniform(0.7, 0.97))),
        glasses=str(rng.choice(["none", "round", "square", "half"], p=_glasses_weights(old))),
        frame=linear(
            np.array([[22, 20, 22], [70, 42, 28], [96, 96, 100], [120, 88, 48], [36, 44, 66]])[rng.integers(5)]
        ),
        shoulder=_clipped_normal(rng, 1.0 + 0.07 * male, 0.05, 0.86, 1.2),
        backdrop=str(rng.choice(["wall", "gradient", "room", "outdoor"], p=[0.36, 0.24, 0.24, 0.16])),
        wall=wall,
        wall_second=_hsv(
            (wall_hue + float(rng.normal(0, 0.08))) % 1.0, float(rng.uniform(0.05, 0.35)), float(rng.uniform(0.3, 0.8))
        ),
    )


def _glasses_weights(old: float) -> np.ndarray:
    """Return the probabilities of no, round, square and half-rim glasses."""
    share = 0.18 + 0.17 * old
    return np.array([1 - share, share * 0.35, share * 0.4, share * 0.25])


def sample_skin_tone(dark: float, rng: np.random.Generator) -> np.ndarray:
    """Draw an sRGB skin tone (3,), 0 to 255, between very light (`dark` 0) and very dark (1)."""
    steps = np.linspace(0, 1, len(_TONES))
    tone = np.array([np.interp(dark, steps, _TONES[:, c]) for c in range(3)])
    return tone * (1 + rng.normal(0, [0.015, 0.02, 0.03]))
