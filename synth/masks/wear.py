"""Where a mask sits for each way to wear it, as numbers on the face's own lines, and the gate that checks it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

WEARS: tuple[str, ...] = ("worn", "nose_out", "chin", "under_chin", "chin_out", "hanging")


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

    def as_dict(self) -> dict[str, float]:
        """JSON-able copy for the recipe."""
        return asdict(self)


# Mean and half range of each number. Judged by eye on portraits: see the galleries of `synth gallery`.
_RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "worn": {
        "top_v": (0.42, 0.16), "bottom_v": (5.22, 0.12), "top_k": (2.0, 0.4), "bottom_k": (4.6, 0.5),
        "tilt_k": (0.0, 0.10), "reach": (0.93, 0.04), "sag": (0.035, 0.02), "follow": (0.0, 0.0), "out": (0.02, 0.012),
    },
    "chin": {
        "top_v": (4.25, 0.25), "bottom_v": (5.30, 0.15), "top_k": (3.3, 0.4), "bottom_k": (5.2, 0.3),
        "tilt_k": (0.0, 0.15), "reach": (0.97, 0.03), "sag": (0.01, 0.01), "follow": (0.6, 0.2), "out": (0.03, 0.015),
    },
}  # fmt: skip


def sample_placement(wear: str, rng: np.random.Generator) -> Placement:
    """Draw one placement; the same generator state gives the same numbers."""
    ranges = _RANGES[wear]
    return Placement(**{name: float(mid + half * rng.uniform(-1, 1)) for name, (mid, half) in ranges.items()})
