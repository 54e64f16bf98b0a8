"""TODO synth.masks.fitting."""

from synth.masks.fitting.face import Array, Face, read_face
from synth.masks.fitting.patch import S_GRID, T_GRID, Spline, dense_map, lay_hanging, lay_patch, refuse_folds
from synth.masks.fitting.straps import (
    NO_STRAPS,
    Straps,
    draw_straps,
    ear_points,
    hanging_straps,
    hidden_by_hair,
    worn_straps,
)

__all__ = [
    "NO_STRAPS",
    "S_GRID",
    "T_GRID",
    "Array",
    "Face",
    "Spline",
    "Straps",
    "dense_map",
    "draw_straps",
    "ear_points",
    "hanging_straps",
    "hidden_by_hair",
    "lay_hanging",
    "lay_patch",
    "read_face",
    "refuse_folds",
    "worn_straps",
]
