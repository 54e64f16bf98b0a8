"""What is decided by the seed, and nothing else: a recipe and a photo give the same bytes again."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np

from data_manifests.errors import StageError, must_be_one_of
from synth.masks.placement import WEARS, sample_placement
from synth.masks.templates import UserTemplate
from synth.masks.types import MASK_TYPES, TYPES, MaskType

VERSION = 6
"""Raised when the same recipe would give other bytes."""


def find_type(mask_type: str, templates: Mapping[str, UserTemplate] | None) -> MaskType:
    """The row of a built-in type, or of a user's template. Raises StageError that lists the choices."""
    if templates and mask_type in templates:
        return templates[mask_type].kind
    if mask_type not in MASK_TYPES:
        raise StageError(must_be_one_of("mask_type", (*TYPES, *(templates or ())), mask_type))
    return MASK_TYPES[mask_type]


def sample_recipe(
    mask_type: str, wear: str, seed: int, attempt: int = 0, templates: Mapping[str, UserTemplate] | None = None
) -> dict[str, object]:
    """Every number that varies between two masks of one type and wear, as a JSON-able dict.

    `attempt` counts the draws that the geometry or the gate refused: the numbers differ, the seed stays.
    """
    kind = find_type(mask_type, templates)
    if wear not in WEARS:
        raise StageError(must_be_one_of("wear", WEARS, wear))
    rng = np.random.default_rng([seed, zlib.crc32(mask_type.encode()), zlib.crc32(wear.encode()), attempt])
    user = templates[mask_type] if templates and mask_type in templates else None
    hue, tone = rng.normal(0, kind.hue_spread, 3), rng.normal(0, 0.05)
    hue += rng.normal(0, 0.025) * np.array([1.0, 0.1, -1.0])  # a lamp that meets the mask more than the face
    even = rng.uniform(size=6).tolist()  # one call: each costs as much as all six
    return {
        "version": VERSION,
        "type": mask_type,
        "wear": wear,
        "seed": seed,
        "attempt": attempt,
        "template_sha256": user.sha256 if user else None,
        "variant": int(rng.integers(kind.variants)),
        "flipped": bool(rng.integers(2)) and user is None,  # the drawing, left for right; a user's may bear letters
        "placement": sample_placement(wear, kind.shift, rng),
        "colour_gain": [min(max(1 + float(shift) + tone, 0.65), 1.1 + kind.hue_spread) for shift in hue],
        "exposure_gain": _between(0.76, 1.08, even[0] ** 0.7),
        "relief": _between(0.18, 0.65, even[1]),
        "shadow": _between(0.22, 0.55, even[2]),
        "strap_colour": [int(c) for c in kind.strap_colours[int(rng.integers(len(kind.strap_colours)))]],
        "strap_share": _between(*kind.strap_share, even[3]),
        "strap_bow": _between(-0.02, 0.06, even[4]),
        "blur_gain": _between(0.85, 1.15, even[5]),
        "grain_at": [int(rng.integers(256)), int(rng.integers(256))],
    }


def _between(low: float, high: float, share: float) -> float:
    return low + (high - low) * share
