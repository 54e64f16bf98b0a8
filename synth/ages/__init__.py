"""Ages moved by prototypes that are learned from the user's own pictures, or by a network of the user's."""

from synth.ages.frame import F64, mean_shape
from synth.ages.guarded_move import AgeMover, make_mover
from synth.ages.move import VERSION
from synth.ages.network import require_file
from synth.ages.report import age_report, known_faces, texture_features
from synth.ages.settings import AgeSettings, draw_age, kept_prototypes, prototypes_of

__all__ = [
    "F64",
    "VERSION",
    "AgeMover",
    "AgeSettings",
    "age_report",
    "draw_age",
    "kept_prototypes",
    "known_faces",
    "make_mover",
    "mean_shape",
    "prototypes_of",
    "require_file",
    "texture_features",
]
