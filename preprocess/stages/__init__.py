"""TODO preprocess.stages."""

from preprocess.stages.compositing import guided_alpha
from preprocess.stages.drop_ages import POLICIES, drop_ages, parse_ages, relabel_ages
from preprocess.stages.steps import background_step, crop_step, detect_step, landmarks_step

__all__ = [
    "POLICIES",
    "background_step",
    "crop_step",
    "detect_step",
    "drop_ages",
    "guided_alpha",
    "landmarks_step",
    "parse_ages",
    "relabel_ages",
]
