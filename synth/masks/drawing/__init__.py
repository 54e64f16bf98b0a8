"""TODO synth.masks.drawing."""

from synth.masks.drawing.draw import HEADROOM, SLOPE_UNIT, Template, draw, mean_colour

__all__ = ["HEADROOM", "SLOPE_UNIT", "Template", "draw", "mean_colour"]
