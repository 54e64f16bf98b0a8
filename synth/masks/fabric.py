"""The fabric of a mask on a face, and how much of it a photo shows, which can be known before the mask is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import StageError
from synth.masks.fitting import (
    Array,
    FaceGeometry,
    ear_points,
    fit_hanging_patch,
    fit_patch,
    inside_share,
    measure_face,
)
from synth.masks.parameters import sample_parameters
from synth.masks.placement import HangingGeometry, WornGeometry, sample_placement
from synth.masks.user_templates import UserTemplate

MIN_INSIDE_SHARE = 0.6
"""Share of the fabric within the photo from which a mask is recognised as one. In crops of the head, masks on the neck
show 0.7 or more, hanging ones half; in tighter crops both leave straps and a corner of fabric."""


def fit_fabric(face: FaceGeometry, parameters: Mapping[str, Any]) -> tuple[Array, HangingGeometry | None]:
    """Return the patch (5, 9, 2), upright, and the geometry of a hanging mask, None for one on both ears."""
    if parameters["wear"] != "hanging":
        return fit_patch(face, WornGeometry(**parameters["placement"])), None
    hang = HangingGeometry(**parameters["placement"])
    if abs(face.yaw_deg) > 20:  # the far ear cannot be seen
        hang = replace(hang, side=-1 if face.yaw_deg > 0 else 1)
    return fit_hanging_patch(face, hang, ear_points(face, hang.side)[1]), hang


def sample_fitting_placement(
    names: Sequence[str],
    rng: np.random.Generator,
    landmarks_xy: NDArray[np.floating],
    image_hw: tuple[int, int],
    *,
    mask_type: str,
    seed: int,
    templates: Mapping[str, UserTemplate] | None = None,
) -> str:
    """Draw a placement of which a photo shows at least MIN_INSIDE_SHARE; where none fits, the one it shows most of.

    The mask is that of `compose` with this type and seed, on landmarks (68, 2) in a photo of `image_hw` px.
    """
    drawn = order_placements(names, rng)
    try:
        face = measure_face(landmarks_xy, image_hw)
    except StageError:
        return drawn[0]  # no mask fits on such a face: the row will carry the reason
    shares = {}
    for name in drawn:
        patch, _ = fit_fabric(face, sample_parameters(mask_type, name, seed, templates=templates))
        shares[name] = inside_share(face.to_image_xy(patch), image_hw)
        if shares[name] >= MIN_INSIDE_SHARE:
            return name
    return max(drawn, key=shares.__getitem__)


def order_placements(names: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Return the placements in a random order, in which common ones tend to come first."""
    left, drawn = list(names), []
    while left:
        drawn.append(sample_placement(left, rng))
        left.remove(drawn[-1])
    return drawn
