"""The steps of preprocessing: face (detect, landmarks), crop, background, and the treatment of ambiguous ages."""

from preprocess.stages.backend_choice import choose_remover, remover_line
from preprocess.stages.background import background_step
from preprocess.stages.crop import MAX_REPEATED_SHARE, crop_step
from preprocess.stages.drop_ages import POLICIES, check_splits, drop_ages, parse_ages, relabel_ages
from preprocess.stages.face import detect_step, landmarks_step

__all__ = [
    "MAX_REPEATED_SHARE",
    "POLICIES",
    "background_step",
    "check_splits",
    "choose_remover",
    "crop_step",
    "detect_step",
    "drop_ages",
    "landmarks_step",
    "parse_ages",
    "relabel_ages",
    "remover_line",
]
