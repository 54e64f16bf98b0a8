"""dlib's 128-d face embedding: a ResNet of 29 layers trained for distance (King 2017, davisking/dlib-models).

Two photos show one person if the distance of their embeddings is below `SAME_PERSON_DISTANCE`. The weights are CC0 and
are part of the package face-recognition-models.
"""

from __future__ import annotations

from importlib.metadata import version

import dlib
import numpy as np

from data_manifests.errors import StageError
from pipeline.faces.embedder import Embedder
from pipeline.weights import WEIGHTS

VERSION = f"{version('dlib-bin')}.1"  # the last digit counts changes of this module
N_LANDMARKS = 68


def check() -> None:
    """Raise BackendError if the network's file is missing."""
    WEIGHTS["dlib-face"].require()


def make() -> Embedder:
    """Return an embedder: image (H, W, 3) uint8 RGB and landmarks_xy (68, 2) or box_xyxy (4,), px → (128,) float32.

    With landmarks the crop follows eyes and nose, so that it does not depend on the detector; with a box the 68 points
    are predicted first, which needs the landmark file too. One face takes about 60 ms on one core.
    The embedder raises StageError for other shapes and for numbers that are not finite.
    """
    network = dlib.face_recognition_model_v1(str(WEIGHTS["dlib-face"].require()))
    predictor: list[dlib.shape_predictor] = []

    def embed(image: np.ndarray, where: np.ndarray) -> np.ndarray:
        where = np.asarray(where, np.float32)
        if not np.isfinite(where).all():
            raise StageError("the face's landmarks or box must be finite numbers.")
        image = np.ascontiguousarray(image)
        if where.shape == (4,):
            if not predictor:
                predictor.append(dlib.shape_predictor(str(WEIGHTS["dlib68"].require())))
            shape = predictor[0](image, dlib.rectangle(*np.rint(where).astype(int).tolist()))
        elif where.shape == (N_LANDMARKS, 2):
            low, high = np.rint(where.min(axis=0)).astype(int), np.rint(where.max(axis=0)).astype(int)
            points = [dlib.point(x, y) for x, y in np.rint(where).astype(int).tolist()]
            shape = dlib.full_object_detection(dlib.rectangle(*low.tolist(), *high.tolist()), points)
        else:
            raise StageError(f"a face is given by landmarks (68, 2) or a box (4,). Got {where.shape} instead.")
        return np.array(network.compute_face_descriptor(image, shape), np.float32)

    return embed
