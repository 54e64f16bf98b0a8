"""The identity gate: checks that a moved face still shows the same person, at the expected landmarks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import StageError
from pipeline.backends import load_backend
from pipeline.faces import SAME_PERSON_DISTANCE, Embedder, five_points_of
from synth.masks import measure_face

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

Landmarker = Callable[[U8, F32, F32 | None], F32]
MAX_LANDMARK_SHIFT = 0.06  # RMS over the face's size between the moved landmarks and those located again


@dataclass(frozen=True)
class IdentityGate:
    """Check of a moved face's identity. `landmarker` is None where its model file must not be used."""

    embed: Embedder
    landmarker: Landmarker | None = None

    def check(self, before: U8, before_xy: F32, after: U8, after_xy: F32) -> float:
        """Return the distance between the embeddings of both images (H, W, 3) at landmarks (68, 2) px; about 0.1 s.

        Raises StageError if the distance reaches dlib's published 0.6, if the landmarks no longer form a face, or if
        the landmarker locates the face elsewhere.
        """
        measure_face(after_xy, (after.shape[0], after.shape[1]))
        if self.landmarker is not None:
            self._check_position(after, after_xy)
        distance = float(np.linalg.norm(self.embed(before, before_xy) - self.embed(after, after_xy)))
        if not distance < SAME_PERSON_DISTANCE:
            raise StageError(
                f"the moved face is no longer the same person: distance {distance:.2f}, "
                f"it must be under {SAME_PERSON_DISTANCE}."
            )
        return distance

    def _check_position(self, after: U8, after_xy: F32) -> None:
        assert self.landmarker is not None
        box = np.concatenate([after_xy.min(axis=0), after_xy.max(axis=0)]).astype(np.float32)
        found = self.landmarker(after, box, five_points_of(after_xy))
        size = float((after_xy.max(axis=0) - after_xy.min(axis=0)).max())
        shift = float(np.sqrt(((found - after_xy) ** 2).sum(axis=1).mean())) / size
        if not shift < MAX_LANDMARK_SHIFT:
            raise StageError(
                f"the moved face is not at its expected position: landmarks are {shift:.2f} of its size away, "
                f"up to {MAX_LANDMARK_SHIFT} is allowed."
            )


def make_identity_gate(*, landmarker: str | None = "dlib68") -> IdentityGate:
    """Load the gate: dlib's embedding and, unless None, a landmarker of `pipeline.backends`. Raises BackendError."""
    embedder = load_backend("embedder", "dlib_face")
    embedder.check()
    if landmarker is None:
        return IdentityGate(embedder.make())
    backend = load_backend("landmarker", landmarker)
    backend.check()
    return IdentityGate(embedder.make(), backend.make())
