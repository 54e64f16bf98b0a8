"""TODO pipeline.faces."""

from pipeline.faces.choose import SLIPPED, centre_box, choose_face, disagreement, five_of
from pipeline.faces.embedder import SAME_PERSON_DISTANCE, Embedder
from pipeline.faces.locate import Located, locator_version, make_locator
from pipeline.faces.mean_shape import fit_mean_shape

__all__ = [
    "SAME_PERSON_DISTANCE",
    "SLIPPED",
    "Embedder",
    "Located",
    "centre_box",
    "choose_face",
    "disagreement",
    "fit_mean_shape",
    "five_of",
    "locator_version",
    "make_locator",
]
