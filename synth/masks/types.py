"""The table of mask types: shape, colours, fit and straps of each.

To add a type, add a row to MASK_TYPES, and a function to SHAPES in `drawing/shapes.py` if no shape fits; no other
module names a type.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from data_manifests.errors import ConfigError, must_be_one_of

STRAPS = ("loops", "bands", "cut", "none")
"""Loops round the ears, bands round the head, loops cut from the fabric itself, or no straps."""
RGB = tuple[int, int, int]


@dataclass(frozen=True)
class MaskType:
    """A row of the table. Colours are sRGB albedo in even light; `shift` moves the mean geometry of every placement."""

    shape: str  # a key of drawing.shapes.SHAPES
    colours: tuple[RGB, ...]
    patterned: bool = False  # printed with one of drawing.textures.PATTERNS
    aspect: float = 0.62  # height over width of the flat patch
    shift: dict[str, float] = field(default_factory=dict)  # WornGeometry field → offset
    straps: str = "loops"  # one of STRAPS
    strap_colours: tuple[RGB, ...] = ((244, 244, 242),)
    strap_share: tuple[float, float] = (0.018, 0.028)  # range of the width over the face scale
    anchor_t: tuple[float, float] = (0.06, 0.94)  # where straps are fixed to the side edge
    anchor_s: float = 0.93
    relief_gain: float = 1.0
    hue_spread: float = 0.012  # standard deviation of each channel's gain between masks
    share: float = 1.0  # sampling weight for `any`: about as common as in the street
    variants: int = 6  # drawings that differ in creases, stains and pattern; colour and fit vary independently

    def __post_init__(self) -> None:
        """Raise ConfigError for unknown straps."""
        if self.straps not in STRAPS:
            raise ConfigError(must_be_one_of("straps of a row of MASK_TYPES", STRAPS, self.straps))


_WHITE, _OFF = (246, 246, 244), (238, 237, 231)
_KF = {"top_k": 0.35, "bottom_k": -0.55, "reach": -0.02, "top_v": -0.06, "sag": -0.015}
_KN = {"top_k": 0.45, "bottom_k": -0.65, "reach": -0.03, "top_v": -0.05, "sag": -0.01}

MASK_TYPES: dict[str, MaskType] = {
    "surgical_blue": MaskType(
        "surgical", ((133, 186, 222), (150, 197, 224), (118, 176, 216), (165, 208, 230), (110, 160, 204)),
        hue_spread=0.04, share=3.0,
    ),
    "surgical_white": MaskType("surgical", (_WHITE, _OFF, (240, 243, 247)), share=1.6),
    "surgical_green": MaskType(
        "surgical", ((148, 205, 186), (163, 213, 196), (128, 192, 172)), hue_spread=0.04, share=0.5
    ),
    "surgical_black": MaskType(
        "surgical", ((34, 34, 37), (44, 44, 46), (28, 29, 33), (62, 62, 66)), strap_colours=((30, 30, 32), (44, 44, 46))
    ),
    "surgical_pastel": MaskType(
        "surgical", ((232, 186, 196), (206, 196, 222), (236, 222, 170), (176, 180, 186), (222, 204, 186),
                     (232, 130, 160), (120, 108, 176)),
        strap_colours=((244, 244, 242), (226, 206, 208)), hue_spread=0.05, share=0.5, variants=8,
    ),
    "kf94_white": MaskType(
        "kf94", (_WHITE, (242, 243, 245)), aspect=0.66, shift=_KF, anchor_t=(0.08, 0.90), share=1.5
    ),
    "kf94_black": MaskType(
        "kf94", ((32, 32, 35), (42, 42, 45), (58, 58, 62)), aspect=0.66, shift=_KF, anchor_t=(0.08, 0.90),
        strap_colours=((28, 28, 30),),
    ),
    "kf94_colour": MaskType(
        "kf94", ((126, 130, 136), (206, 190, 170), (222, 184, 184), (44, 56, 84), (170, 186, 170), (92, 78, 72),
                 (120, 40, 52), (70, 104, 160)),
        aspect=0.66, shift=_KF, anchor_t=(0.08, 0.90), strap_colours=((240, 240, 238), (120, 122, 126), (52, 56, 70)),
        hue_spread=0.06, share=0.5, variants=8,
    ),
    "kn95_white": MaskType("kn95", (_WHITE, _OFF), aspect=0.68, shift=_KN, anchor_t=(0.10, 0.86)),
    "kn95_black": MaskType(
        "kn95", ((33, 33, 36), (45, 45, 48), (60, 60, 64)), aspect=0.68, shift=_KN, anchor_t=(0.10, 0.86),
        strap_colours=((30, 30, 32),), share=0.6,
    ),
    "n95_cup": MaskType(
        "cup", ((240, 239, 233), (234, 232, 222), (244, 243, 240)), aspect=0.78, straps="bands",
        shift={"top_k": 0.55, "bottom_k": -0.25, "reach": -0.11, "top_v": -0.02, "sag": -0.03, "bottom_v": 0.02,
               "out": 0.02},
        strap_colours=((232, 205, 120), (236, 232, 220), (225, 190, 110), (60, 60, 62)), strap_share=(0.022, 0.034),
        anchor_t=(0.27, 0.66), anchor_s=0.86, relief_gain=1.2, share=0.7,
    ),
    "cloth_plain": MaskType(
        "cloth",
        ((222, 214, 200), (196, 206, 216), (214, 178, 170), (170, 184, 160), (190, 176, 200), (205, 196, 160),
         (160, 168, 178), (226, 226, 224), (120, 150, 178), (196, 120, 110), (186, 38, 44), (38, 84, 160),
         (226, 120, 44), (240, 204, 70),
         (224, 98, 140), (110, 64, 140), (40, 130, 130), (52, 110, 62)),
        aspect=0.66, shift={"top_k": 0.2, "bottom_k": -0.2}, anchor_t=(0.14, 0.82),
        strap_colours=((240, 240, 238), (40, 40, 42), (190, 190, 188)), hue_spread=0.09, share=1.4, variants=24,
    ),
    "cloth_patterned": MaskType(
        "cloth",
        ((40, 62, 110), (168, 44, 52), (236, 232, 222), (60, 100, 80), (90, 70, 110), (228, 190, 120), (70, 70, 74),
         (150, 180, 200), (204, 96, 60), (30, 30, 33)),
        patterned=True, hue_spread=0.16, share=1.4, variants=24, aspect=0.66, shift={"top_k": 0.2, "bottom_k": -0.2},
        anchor_t=(0.14, 0.82),
        strap_colours=((240, 240, 238), (40, 40, 42)),
    ),
    "cloth_dark": MaskType(
        "cloth", ((30, 30, 33), (34, 34, 36), (30, 38, 58), (56, 56, 60), (76, 76, 80), (66, 28, 36), (38, 50, 44)),
        aspect=0.66, shift={"top_k": 0.2, "bottom_k": -0.2}, anchor_t=(0.14, 0.82),
        strap_colours=((28, 28, 30), (52, 52, 55)), hue_spread=0.14, share=1.8, variants=8,
    ),
    "sponge": MaskType(
        "sponge", ((70, 71, 74), (36, 36, 38), (150, 151, 153), (206, 186, 168), (222, 190, 190), (236, 235, 232)),
        aspect=0.64, shift={"top_k": 0.1, "bottom_k": -0.5, "reach": 0.01, "top_v": 0.05, "out": -0.006}, straps="cut",
        strap_share=(0.042, 0.060), anchor_t=(0.20, 0.78), anchor_s=0.90, relief_gain=0.9, hue_spread=0.05, variants=8,
    ),
}  # fmt: skip

TYPES: tuple[str, ...] = tuple(MASK_TYPES)
