"""The mask synthesiser: `compose` puts one of `TYPES`, worn in one of `WEARS`, on a face with 68 landmarks.

    result = compose(image, landmarks_xy, mask_type="kf94_white", wear="nose_out", seed=7)

`read_scene` reads the light of a photo once for many masks on it, and `render` rebuilds a result from its
recipe, byte for byte. `load_templates` reads a folder of a user's own masks for `compose(templates=…)`.
"""

from synth.masks.compose import Composite, Scene, compose, read_scene, render
from synth.masks.templates import UserTemplate, load_templates
from synth.masks.types import TYPES
from synth.masks.wear import WEARS

__all__ = ["TYPES", "WEARS", "Composite", "Scene", "UserTemplate", "compose", "load_templates", "read_scene", "render"]
