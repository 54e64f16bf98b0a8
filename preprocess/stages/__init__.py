"""The steps of preprocessing: face (detect, landmarks), crop, background, and the treatment of ambiguous ages."""

from preprocess.stages.background import background_step
from preprocess.stages.crop import crop_step
from preprocess.stages.drop_ages import POLICIES, drop_ages, parse_ages, relabel_ages
from preprocess.stages.face import detect_step, landmarks_step

__all__ = [
    "POLICIES",
    "background_step",
    "crop_step",
    "detect_step",
    "drop_ages",
    "landmarks_step",
    "parse_ages",
    "relabel_ages",
]
