"""Where a mask sits for each way to wear it, as numbers on the face's own lines, and the gate that checks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_manifests.errors import StageError

WEARS: tuple[str, ...] = ("worn", "nose_out", "chin", "under_chin", "chin_out", "hanging")
# How often each is drawn where one of several is to be: wrong wears about as they are met in the street, where a bare
# nose is the commonest; `worn` as often as all of them together.
_SHARES = {"worn": 1.0, "nose_out": 0.50, "chin": 0.27, "under_chin": 0.11, "chin_out": 0.05, "hanging": 0.07}


@dataclass(frozen=True)
class Placement:
    """Edges of the fabric. `v` runs along `Face.midline` (0 bridge … 5 chin … 6 throat), `k` along the jaw (0 … 8)."""

    top_v: float
    bottom_v: float
    top_k: float
    bottom_k: float
    tilt_k: float  # added to the left corners' k, subtracted from the right ones': the mask sits askew
    reach: float  # 1: corners on the jaw line; below: further in
    sag: float  # how far the top edge dips between nose and corner, in face scales
    follow: float  # 0: the top edge runs straight to the corner; 1: it follows the jaw
    out: float  # how far the bottom edge stands off the jaw, in face scales
    fall: float  # how far the bottom corners hang below the jaw, in face scales
    aside: float  # how far the middle slipped to the picture's right, in face scales; loops hold the corners


@dataclass(frozen=True)
class Hang:
    """A mask that hangs from one ear. Lengths in face scales, angles in degrees."""

    side: int  # -1: the ear on the picture's left (after the recipe's mirroring)
    length: float  # of the fabric's long axis, which points down
    breadth: float  # of its short axis, as seen (it hangs partly edge-on)
    narrow: float  # the upper end over the lower one: the loop gathers it
    sway_deg: float
    drop: float  # from the ear to the fabric
    away: float  # outwards from the ear
    curl: float
    loop: float  # how far the free loop dangles


# Centre and half range of each number, uniform in between. Judged on portraits by eye; the mixtures below are
# the cases met most in street photos: nostrils bare, whole nose bare, lips bare, chin strap, neck.
_BASE: dict[str, tuple[float, float]] = {
    "top_v": (0.42, 0.22), "bottom_v": (5.20, 0.16), "top_k": (2.0, 0.45), "bottom_k": (4.6, 0.5),
    "tilt_k": (0.0, 0.20), "reach": (0.94, 0.045), "sag": (0.035, 0.025), "follow": (0.0, 0.0), "out": (0.02, 0.014),
    "fall": (0.0, 0.01), "aside": (0.0, 0.022),
}  # fmt: skip
_CASES: dict[str, tuple[tuple[float, dict[str, tuple[float, float]]], ...]] = {
    "worn": (
        (0.60, {}),
        (0.14, {"top_v": (0.72, 0.12), "top_k": (2.3, 0.5), "tilt_k": (0.0, 0.3)}),  # low, the tip still covered
        (0.13, {"top_v": (0.55, 0.15), "top_k": (2.3, 0.4), "bottom_v": (5.08, 0.08), "reach": (0.85, 0.05)}),  # small
        (0.13, {"top_v": (0.15, 0.13), "bottom_v": (5.45, 0.15), "bottom_k": (5.0, 0.4), "reach": (0.99, 0.03),
                "out": (0.040, 0.015)}),  # large
    ),
    "nose_out": (
        (0.40, {"top_v": (1.45, 0.25), "top_k": (2.6, 0.4), "bottom_v": (5.32, 0.20), "tilt_k": (0.0, 0.3),
                "reach": (0.92, 0.07)}),
        (0.45, {"top_v": (2.10, 0.30), "top_k": (2.9, 0.4), "bottom_v": (5.40, 0.22), "tilt_k": (0.0, 0.35),
                "reach": (0.92, 0.07)}),
        (0.15, {"top_v": (2.62, 0.18), "top_k": (3.1, 0.4), "bottom_v": (5.46, 0.22), "tilt_k": (0.0, 0.35),
                "reach": (0.92, 0.07)}),
    ),
    "chin": (
        (0.45, {"top_v": (3.75, 0.25), "top_k": (3.2, 0.4), "bottom_v": (5.50, 0.20), "bottom_k": (5.1, 0.4),
                "follow": (0.35, 0.2), "sag": (0.02, 0.015), "out": (0.03, 0.015), "fall": (0.04, 0.02),
                "tilt_k": (0.0, 0.2)}),
        (0.55, {"top_v": (4.25, 0.25), "top_k": (3.5, 0.4), "bottom_v": (5.50, 0.20), "bottom_k": (5.3, 0.3),
                "follow": (0.6, 0.2), "sag": (0.01, 0.01), "out": (0.03, 0.015), "fall": (0.04, 0.02),
                "tilt_k": (0.0, 0.2)}),
    ),
    "under_chin": (
        (0.6, {"top_v": (4.98, 0.10), "top_k": (4.6, 0.4), "bottom_v": (5.85, 0.25), "bottom_k": (5.2, 0.3),
               "follow": (1.0, 0.0), "sag": (0.0, 0.0), "out": (0.0, 0.01), "reach": (0.93, 0.03),
               "fall": (0.16, 0.05), "tilt_k": (0.0, 0.2)}),
        (0.4, {"top_v": (5.35, 0.20), "top_k": (5.0, 0.3), "bottom_v": (6.25, 0.30), "bottom_k": (5.5, 0.2),
               "follow": (1.0, 0.0), "sag": (0.02, 0.02), "out": (0.0, 0.01), "reach": (0.90, 0.03),
               "fall": (0.22, 0.05), "tilt_k": (0.0, 0.25)}),
    ),
    "chin_out": (
        (1.0, {"top_v": (0.22, 0.18), "top_k": (1.7, 0.35), "bottom_v": (4.38, 0.28), "bottom_k": (3.9, 0.4),
               "out": (0.0, 0.01), "tilt_k": (0.0, 0.15)}),
    ),
}  # fmt: skip
_HANG: dict[str, tuple[float, float]] = {
    "length": (0.80, 0.12), "breadth": (0.44, 0.16), "narrow": (0.78, 0.16), "sway_deg": (0.0, 14.0),
    "drop": (0.10, 0.07), "away": (0.01, 0.05), "curl": (0.0, 0.06), "loop": (0.16, 0.07),
}  # fmt: skip

# The gate: least and most of nose, mouth and chin that may be covered. Measured on 205 portraits with four or five
# types each (worn and nose_out: on 610), 1 % and 99 % quantiles of (nose, mouth, chin):
#   worn        .67–1   1–1     1–1        chin        0–0     0–.39   1–1
#   nose_out    0–.36   .77–1   1–1        under_chin  0–0     0–0     0–.31
#   chin_out    .99–1   1–1     0–.27      hanging     0–0     0–0     0–0
# Bounds lie between the classes, with a gap between worn and nose_out: a bare nose tip is neither. Mouth .45/.60 parts
# chin from nose_out.
GATE: dict[str, dict[str, tuple[float, float]]] = {
    "worn": {"nose_score": (0.66, 1.0), "mouth_score": (0.97, 1.0), "chin_score": (0.80, 1.0)},
    "nose_out": {"nose_score": (0.0, 0.50), "mouth_score": (0.60, 1.0), "chin_score": (0.80, 1.0)},
    "chin": {"nose_score": (0.0, 0.02), "mouth_score": (0.0, 0.45), "chin_score": (0.55, 1.0)},
    "under_chin": {"nose_score": (0.0, 0.02), "mouth_score": (0.0, 0.02), "chin_score": (0.0, 0.45)},
    "chin_out": {"nose_score": (0.60, 1.0), "mouth_score": (0.80, 1.0), "chin_score": (0.0, 0.60)},
    "hanging": {"nose_score": (0.0, 0.10), "mouth_score": (0.0, 0.15), "chin_score": (0.0, 0.30)},
}


def draw_wear(wears: Sequence[str], rng: np.random.Generator) -> str:
    """One of the wears, the common ones more often."""
    shares = np.array([_SHARES[wear] for wear in wears])
    return wears[int(rng.choice(len(wears), p=shares / shares.sum()))]


def sample_placement(wear: str, shift: dict[str, float], rng: np.random.Generator) -> dict[str, float]:
    """Draw the numbers of one `Placement` or `Hang`; `shift` is the type's own. Plain floats for the recipe."""
    if wear == "hanging":
        side = int(rng.choice([-1, 1]))
        return {"side": side, **_draw(_HANG, rng)}
    case, at = {}, rng.random()
    for share, changes in _CASES[wear]:
        case = changes
        at -= share
        if at < 0:
            break
    values = _draw(_BASE | case, rng)
    for name, offset in shift.items():
        # A shaped top edge (nose cut, narrow sides) matters where the mask sits on the nose, not on a neck.
        weight = 1.0 if name in ("reach", "out") or wear in ("worn", "chin_out", "nose_out") else 0.4
        values[name] += weight * offset
    gap = 0.4 if wear == "under_chin" else 0.9
    values["bottom_k"] = max(values["bottom_k"], values["top_k"] + gap)
    return values


def _draw(ranges: dict[str, tuple[float, float]], rng: np.random.Generator) -> dict[str, float]:
    """Each number evenly within its centre ± half range."""
    shares = rng.uniform(-1, 1, len(ranges)).tolist()
    return {name: mid + half * share for (name, (mid, half)), share in zip(ranges.items(), shares, strict=True)}


def gate(wear: str, coverage: dict[str, float]) -> None:
    """Raise StageError when what the fabric covers contradicts the class it stands for."""
    for name, (least, most) in GATE[wear].items():
        if not least <= coverage[name] <= most:
            raise StageError(
                f"{wear}: {name} must be within {least} and {most}. Got {coverage[name]:.2f}; try another seed."
            )
