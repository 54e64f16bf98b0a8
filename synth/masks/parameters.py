"""Mask parameters: everything random about one mask, drawn from a seed. With the photo they give the same bytes."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np

from data_manifests.errors import StageError, must_be_one_of
from synth.masks.placement import PLACEMENTS, sample_geometry
from synth.masks.types import MASK_TYPES, TYPES, MaskType
from synth.masks.user_templates import UserTemplate

VERSION = 6
"""Increase when the same parameters give other bytes."""


def find_mask_type(mask_type: str, templates: Mapping[str, UserTemplate] | None) -> MaskType:
    """Return the row of MASK_TYPES, or of a user's template. Raises StageError with the choices for an unknown type."""
    if templates and mask_type in templates:
        return templates[mask_type].kind
    if mask_type not in MASK_TYPES:
        error = must_be_one_of("mask_type", (*TYPES, *(templates or ())), mask_type)
        raise StageError(f"{error} Built-in types are the rows of MASK_TYPES in synth/masks/types.py.")
    return MASK_TYPES[mask_type]


def sample_parameters(
    mask_type: str, placement: str, seed: int, attempt: int = 0, templates: Mapping[str, UserTemplate] | None = None
) -> dict[str, object]:
    """Draw every number that differs between two masks of one type and placement, as a JSON-serialisable dict.

    `attempt` counts the draws refused so far by the fit or the coverage check: other numbers from the same seed.
    Manifests store these keys: `wear` is the placement, `placement` its geometry.
    """
    kind = find_mask_type(mask_type, templates)
    if placement not in PLACEMENTS:
        raise StageError(must_be_one_of("placement", PLACEMENTS, placement))
    rng = np.random.default_rng([seed, zlib.crc32(mask_type.encode()), zlib.crc32(placement.encode()), attempt])
    user = templates[mask_type] if templates and mask_type in templates else None
    hue, tone = rng.normal(0, kind.hue_spread, 3), rng.normal(0, 0.05)
    hue += rng.normal(0, 0.025) * np.array([1.0, 0.1, -1.0])  # a light that reaches the mask more than the face
    even = rng.uniform(size=6).tolist()  # one call costs as much as six
    return {
        "version": VERSION,
        "type": mask_type,
        "wear": placement,
        "seed": seed,
        "attempt": attempt,
        "template_sha256": user.sha256 if user else None,
        "variant": int(rng.integers(kind.variants)),
        "flipped": bool(rng.integers(2)) and user is None,  # mirrored left to right; a user's template may carry text
        "placement": sample_geometry(placement, kind.shift, rng),
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
