"""The mask synthesiser: `compose` puts one of `TYPES`, worn in one of `WEARS`, on a face with 68 landmarks.

    result = compose(image, landmarks_xy, mask_type="kf94_white", wear="nose_out", seed=7)

`read_scene` reads the light of a photo once for many masks on it, and `render` rebuilds a result from its
recipe, byte for byte. `load_templates` reads a folder of a user's own masks for `compose(templates=…)`.
"""

from synth.masks.compose import MIRROR_INDEX, Composite, Scene, compose, read_scene, render
from synth.masks.fitting import read_face
from synth.masks.parameters import VERSION
from synth.masks.placement import WEARS, draw_wear, gate
from synth.masks.templates import UserTemplate, keep_template, kept_template, load_templates
from synth.masks.types import MASK_TYPES, TYPES

__all__ = [
    "MASK_TYPES",
    "MIRROR_INDEX",
    "TYPES",
    "VERSION",
    "WEARS",
    "Composite",
    "Scene",
    "UserTemplate",
    "compose",
    "draw_wear",
    "gate",
    "keep_template",
    "kept_template",
    "load_templates",
    "read_face",
    "read_scene",
    "render",
]
