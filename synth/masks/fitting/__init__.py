"""Geometry of a mask on a face: the upright face, the patch of fabric over it, and the straps."""

from synth.masks.fitting.face_geometry import Array, FaceGeometry, measure_face
from synth.masks.fitting.patch import (
    S_GRID,
    T_GRID,
    ThinPlateSpline,
    check_no_folds,
    dense_map,
    fit_hanging_patch,
    fit_patch,
    inside_share,
)
from synth.masks.fitting.straps import (
    NO_STRAPS,
    Straps,
    draw_straps,
    ear_points,
    hanging_straps,
    hide_behind_hair,
    worn_straps,
)

__all__ = [
    "NO_STRAPS",
    "S_GRID",
    "T_GRID",
    "Array",
    "FaceGeometry",
    "Straps",
    "ThinPlateSpline",
    "check_no_folds",
    "dense_map",
    "draw_straps",
    "ear_points",
    "fit_hanging_patch",
    "fit_patch",
    "hanging_straps",
    "hide_behind_hair",
    "inside_share",
    "measure_face",
    "worn_straps",
]
