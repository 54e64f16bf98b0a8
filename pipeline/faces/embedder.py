"""Face embedders: an image and where its face is → a vector in which one person's photos lie close together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Embedder = Callable[[np.ndarray, np.ndarray], np.ndarray]

SAME_PERSON_DISTANCE = (
    0.6  # dlib's published threshold for its own embedding: 99.38 % right on Labeled Faces in the Wild
)
