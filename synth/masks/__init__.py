"""Synthetic masks on faces: `compose` puts one of `TYPES`, in one of `PLACEMENTS`, on a face with 68 landmarks.

    result = compose(image, landmarks_xy, mask_type="kf94_white", placement="nose_out", seed=7)

`measure_scene` measures a photo once for many masks on it. `render_mask` rebuilds a result from its parameters, byte
for byte. `load_templates` reads a folder of a user's own masks for `compose(templates=…)`.
"""

from synth.masks.compose import MIRROR_INDEX, Composite, Scene, compose, measure_scene, render_mask
from synth.masks.fabric import MIN_INSIDE_SHARE, order_placements, sample_fitting_placement
from synth.masks.fitting import measure_face
from synth.masks.parameters import VERSION
from synth.masks.placement import INCORRECT_PLACEMENTS, PLACEMENTS, check_coverage, sample_placement
from synth.masks.types import MASK_TYPES, TYPES
from synth.masks.user_templates import UserTemplate, keep_template, load_kept_template, load_templates

__all__ = [
    "INCORRECT_PLACEMENTS",
    "MASK_TYPES",
    "MIN_INSIDE_SHARE",
    "MIRROR_INDEX",
    "PLACEMENTS",
    "TYPES",
    "VERSION",
    "Composite",
    "Scene",
    "UserTemplate",
    "check_coverage",
    "compose",
    "keep_template",
    "load_kept_template",
    "load_templates",
    "measure_face",
    "measure_scene",
    "order_placements",
    "render_mask",
    "sample_fitting_placement",
    "sample_placement",
]
