"""Vectors of one face, and their form in kept results."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class FaceVectors:
    """Vectors of one face, all float32.

    `identity` (D,) is close for photos of one person. `appearance` (E,) is from an inner layer and keeps skin and hair,
    which show age and gender better than an identity embedding, trained to ignore them. `lower_face` (F,) covers nose
    to chin and shows the mask state.
    """

    identity: np.ndarray
    appearance: np.ndarray
    lower_face: np.ndarray


class Describer(Protocol):
    """A function from an image (H, W, 3) uint8 RGB and landmarks_xy (68, 2) in its pixels to FaceVectors."""

    def __call__(self, image: np.ndarray, landmarks_xy: np.ndarray) -> FaceVectors: ...


def pack(vector: np.ndarray) -> str:
    """Return a vector as text for JSON: half floats in base64, a fifth of the size of decimal numbers."""
    return base64.b64encode(np.ascontiguousarray(vector, np.float16).tobytes()).decode("ascii")


def unpack(text: str) -> np.ndarray:
    """Return the float32 vector (D,) of `pack`."""
    return np.frombuffer(base64.b64decode(text), np.float16).astype(np.float32)
