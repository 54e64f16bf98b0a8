"""A picture's fingerprint: a 64-bit perceptual hash to find its like by, and a small copy to make sure."""

from __future__ import annotations

import base64

import cv2
import numpy as np

COPY_PX = 16
_DCT_PX, _KEPT = 32, 8


def phash(image: np.ndarray) -> int:
    """64 bits (Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions"): signs of the 8 × 8
    lowest DCT coefficients of the grey picture at 32 × 32, against their median; the constant one is left out.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_DCT_PX, _DCT_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:_KEPT, :_KEPT].ravel()
    bits = low > np.median(low[1:])
    bits[0] = False
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def small_copy(image: np.ndarray) -> str:
    """The picture at 16 × 16 colour pixels, as text."""
    small = cv2.resize(image, (COPY_PX, COPY_PX), interpolation=cv2.INTER_AREA)
    return base64.b64encode(small.tobytes()).decode("ascii")


def read_copy(text: str) -> np.ndarray:
    """(768,) uint8 of `small_copy`."""
    return np.frombuffer(base64.b64decode(text), np.uint8)
