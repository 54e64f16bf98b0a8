"""What is decided by the seed, and nothing else: a recipe and a photo give the same bytes again."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np

from data_manifests.errors import StageError, must_be_one_of
from synth.masks.templates import UserTemplate
from synth.masks.types import MASK_TYPES, TYPES, VARIANTS, MaskType
from synth.masks.wear import WEARS, sample_placement

VERSION = 1
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
    hue = rng.normal(0, 0.009, 3)
    return {
        "version": VERSION,
        "type": mask_type,
        "wear": wear,
        "seed": seed,
        "attempt": attempt,
        "template_sha256": user.sha256 if user else None,
        "variant": int(rng.integers(VARIANTS)),
        "placement": sample_placement(wear, kind.shift, rng),
        "colour_gain": [float(x) for x in np.clip(1 + hue + rng.normal(0, 0.03), 0.85, 1.1)],
        "exposure_gain": float(rng.uniform(0.92, 1.06)),
        "relief": float(rng.uniform(0.25, 0.5)),
        "shadow": float(rng.uniform(0.28, 0.50)),
        "strap_colour": [int(c) for c in kind.strap_colours[int(rng.integers(len(kind.strap_colours)))]],
        "strap_share": float(rng.uniform(*kind.strap_share)),
        "strap_bow": float(rng.uniform(-0.02, 0.06)),
        "blur_gain": float(rng.uniform(0.85, 1.15)),
        "grain_at": [int(rng.integers(256)), int(rng.integers(256))],
    }
