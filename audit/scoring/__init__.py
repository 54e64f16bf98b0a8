"""Statistical models of the audit: linear probes, label noise, ages, near neighbours and groups of equal labels.

The functions take arrays and return arrays. `audit.checks` applies them to a manifest.
"""

from audit.scoring.age_model import AgeScores, score_ages
from audit.scoring.label_groups import (
    LabelGroups,
    group_photos,
    inconsistent_groups,
    join_standardised,
    majority_labels,
    photo_name,
)
from audit.scoring.label_noise import PRIOR_RATE, SUSPECT, estimate_posterior, probability_correct
from audit.scoring.linear_probe import factorise, predict_held_out, select_penalty
from audit.scoring.neighbours import find_near_hashes, find_near_vectors
from audit.scoring.portraits import connect_pairs, find_same_portraits

__all__ = [
    "PRIOR_RATE",
    "SUSPECT",
    "AgeScores",
    "LabelGroups",
    "connect_pairs",
    "estimate_posterior",
    "factorise",
    "find_near_hashes",
    "find_near_vectors",
    "find_same_portraits",
    "group_photos",
    "inconsistent_groups",
    "join_standardised",
    "majority_labels",
    "photo_name",
    "predict_held_out",
    "probability_correct",
    "score_ages",
    "select_penalty",
]
