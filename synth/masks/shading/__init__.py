"""TODO synth.masks.shading."""

from synth.masks.shading.blend import shade_and_blend
from synth.masks.shading.scene_light import Light, crop, read_light, skin_at

__all__ = ["Light", "crop", "read_light", "shade_and_blend", "skin_at"]
