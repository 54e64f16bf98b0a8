"""TODO audit.scoring."""

from audit.scoring.label_noise import PRIOR_RATE, SUSPECT, posterior
from audit.scoring.linear_probe import best_penalty, held_out, make_probe
from audit.scoring.neighbours import near_hashes, near_vectors
from audit.scoring.run_predictions import Predictions, read_predictions
from audit.scoring.units import Units, differs_within_profile, join, label_of, make_units, photo_name

__all__ = [
    "PRIOR_RATE",
    "SUSPECT",
    "Predictions",
    "Units",
    "best_penalty",
    "differs_within_profile",
    "held_out",
    "join",
    "label_of",
    "make_probe",
    "make_units",
    "near_hashes",
    "near_vectors",
    "photo_name",
    "posterior",
    "read_predictions",
]
