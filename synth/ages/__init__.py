"""Age moves: faces moved to another age by prototypes learned from the user's photos, or by the user's own network."""

from synth.ages.age_mover import AgeMover, make_age_mover
from synth.ages.frame import F64, mean_shape
from synth.ages.move import VERSION
from synth.ages.prototype_store import ensure_prototypes, load_kept_prototypes
from synth.ages.report import age_report, labelled_faces, texture_features
from synth.ages.settings import AgeSettings, sample_target_age
from synth.ages.user_network import require_file

__all__ = [
    "F64",
    "VERSION",
    "AgeMover",
    "AgeSettings",
    "age_report",
    "ensure_prototypes",
    "labelled_faces",
    "load_kept_prototypes",
    "make_age_mover",
    "mean_shape",
    "require_file",
    "sample_target_age",
    "texture_features",
]
