"""Light, blur, grain and compression of the photo, measured and applied to the fabric when it is blended in."""

from synth.masks.shading.blend import shade_and_blend
from synth.masks.shading.light_fields import skin_likeness_at
from synth.masks.shading.scene_light import SceneLight, crop_region, measure_light

__all__ = ["SceneLight", "crop_region", "measure_light", "shade_and_blend", "skin_likeness_at"]
