"""What a network says of one face, and how it is kept."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Description:
    """Vectors of one face, all float32.

    `identity` (D,): photos of one person lie close together. `appearance` (E,): what else the network saw, such as
    skin and hair, which tells age and gender better than an identity embedding, trained to ignore them, does.
    `lower_face` (F,): nose to chin, which tells how a mask is worn.
    """

    identity: np.ndarray
    appearance: np.ndarray
    lower_face: np.ndarray


class Describer(Protocol):
    """Image (H, W, 3) uint8 RGB and landmarks_xy (68, 2) in its pixels → Description."""

    def __call__(self, image: np.ndarray, landmarks_xy: np.ndarray) -> Description: ...


def pack(vector: np.ndarray) -> str:
    """A vector as text for JSON: half floats in base64, a fifth of the size of written-out numbers."""
    return base64.b64encode(np.ascontiguousarray(vector, np.float16).tobytes()).decode("ascii")


def unpack(text: str) -> np.ndarray:
    """The float32 vector (D,) of `pack`."""
    return np.frombuffer(base64.b64decode(text), np.float16).astype(np.float32)
