"""Mask templates drawn by code: `draw_template` gives one of `MASK_TYPES` at any resolution."""

from synth.masks.drawing.template import HEADROOM, SLOPE_UNIT, Template, draw_template, mean_colour

__all__ = ["HEADROOM", "SLOPE_UNIT", "Template", "draw_template", "mean_colour"]
