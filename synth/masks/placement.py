"""The placements of a mask (worn, nose out, …): their geometry on the face, and the coverage each must show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_manifests.errors import StageError

PLACEMENTS: tuple[str, ...] = ("worn", "nose_out", "chin", "under_chin", "chin_out", "hanging")
INCORRECT_PLACEMENTS: tuple[str, ...] = tuple(name for name in PLACEMENTS if name != "worn")
# Sampling weights: incorrect placements about as often as in the street, where a bare nose is the most common;
# `worn` as often as all of them together.
_SHARES = {"worn": 1.0, "nose_out": 0.50, "chin": 0.27, "under_chin": 0.11, "chin_out": 0.05, "hanging": 0.07}


@dataclass(frozen=True)
class WornGeometry:
    """Edges of the fabric of a mask on both ears.

    `v` runs along `FaceGeometry.midline` (0 bridge … 5 chin … 6 throat), `k` along the jaw (0 ear … 8 chin).
    """

    top_v: float
    bottom_v: float
    top_k: float
    bottom_k: float
    tilt_k: float  # added to the left corners' k, subtracted from the right corners': tilts the mask
    reach: float  # 1: corners on the jaw line; below 1: further in
    sag: float  # dip of the top edge between nose and corner, in face scales
    follow: float  # 0: the top edge runs straight to the corner; 1: it follows the jaw
    out: float  # distance of the bottom edge from the jaw, in face scales
    fall: float  # drop of the bottom corners below the jaw, in face scales
    aside: float  # shift of the middle to the image's right, in face scales; loops hold the corners


@dataclass(frozen=True)
class HangingGeometry:
    """Shape of a mask that hangs from one ear. Lengths in face scales, angles in degrees."""

    side: int  # -1: the ear on the image's left (after mirroring)
    length: float  # of the fabric's long axis, which points down
    breadth: float  # of its short axis, as projected (it hangs partly edge-on)
    narrow: float  # upper end over lower end: the loop gathers it
    sway_deg: float
    drop: float  # from the ear to the fabric
    away: float  # outwards from the ear
    curl: float
    loop: float  # length of the free loop


# Centre and half range of each number, uniform in between, set by eye on portraits. The mixtures below are the most
# common cases in street photos: nostrils bare, whole nose bare, lips bare, chin strap, neck.
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

# Minimum and maximum coverage of nose, mouth and chin per placement. Measured on 205 portraits with four or five
# types each (worn and nose_out: on 610), 1 % and 99 % quantiles of (nose, mouth, chin):
#   worn        .67–1   1–1     1–1        chin        0–0     0–.39   1–1
#   nose_out    0–.36   .77–1   1–1        under_chin  0–0     0–0     0–.31
#   chin_out    .99–1   1–1     0–.27      hanging     0–0     0–0     0–0
# Bounds lie between the classes, with a gap between worn and nose_out: a bare nose tip is neither. Mouth .45/.60
# separates chin from nose_out.
COVERAGE_LIMITS: dict[str, dict[str, tuple[float, float]]] = {
    "worn": {"nose_score": (0.66, 1.0), "mouth_score": (0.97, 1.0), "chin_score": (0.80, 1.0)},
    "nose_out": {"nose_score": (0.0, 0.50), "mouth_score": (0.60, 1.0), "chin_score": (0.80, 1.0)},
    "chin": {"nose_score": (0.0, 0.02), "mouth_score": (0.0, 0.45), "chin_score": (0.55, 1.0)},
    "under_chin": {"nose_score": (0.0, 0.02), "mouth_score": (0.0, 0.02), "chin_score": (0.0, 0.45)},
    "chin_out": {"nose_score": (0.60, 1.0), "mouth_score": (0.80, 1.0), "chin_score": (0.0, 0.60)},
    "hanging": {"nose_score": (0.0, 0.10), "mouth_score": (0.0, 0.15), "chin_score": (0.0, 0.30)},
}


def sample_placement(names: Sequence[str], rng: np.random.Generator) -> str:
    """Draw one of the placements, common ones more often."""
    shares = np.array([_SHARES[name] for name in names])
    return names[int(rng.choice(len(names), p=shares / shares.sum()))]


def sample_geometry(placement: str, shift: dict[str, float], rng: np.random.Generator) -> dict[str, float]:
    """Draw the fields of a `WornGeometry`, or of a `HangingGeometry` for "hanging", as plain floats for JSON.

    `shift` moves the mean of some fields for a mask type.
    """
    if placement == "hanging":
        side = int(rng.choice([-1, 1]))
        return {"side": side, **_draw(_HANG, rng)}
    case, at = {}, rng.random()
    for share, changes in _CASES[placement]:
        case = changes
        at -= share
        if at < 0:
            break
    values = _draw(_BASE | case, rng)
    for name, offset in shift.items():
        # A shaped top edge (nose cut, narrow sides) matters on the nose, not on the neck.
        weight = 1.0 if name in ("reach", "out") or placement in ("worn", "chin_out", "nose_out") else 0.4
        values[name] += weight * offset
    gap = 0.4 if placement == "under_chin" else 0.9
    values["bottom_k"] = max(values["bottom_k"], values["top_k"] + gap)
    return values


def _draw(ranges: dict[str, tuple[float, float]], rng: np.random.Generator) -> dict[str, float]:
    """Draw each number uniformly within its centre ± half range."""
    shares = rng.uniform(-1, 1, len(ranges)).tolist()
    return {name: mid + half * share for (name, (mid, half)), share in zip(ranges.items(), shares, strict=True)}


def check_coverage(placement: str, coverage: dict[str, float]) -> None:
    """Raise StageError if the coverage scores are outside the limits of the placement."""
    for name, (minimum, maximum) in COVERAGE_LIMITS[placement].items():
        if not minimum <= coverage[name] <= maximum:
            raise StageError(
                f"{placement}: {name} must be within {minimum} and {maximum}. Got {coverage[name]:.2f}; "
                "try another seed."
            )
