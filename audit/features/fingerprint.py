"""Fingerprint of a picture: a 64-bit perceptual hash to find candidates, and a thumbnail to confirm them."""

from __future__ import annotations

import base64

import cv2
import numpy as np

THUMBNAIL_PX = 16
_DCT_PX, _KEPT = 32, 8


def perceptual_hash(image: np.ndarray) -> int:
    """Return 64 bits (Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions").

    They are the signs of the 8 × 8 lowest DCT coefficients of the grey picture at 32 × 32, against their median; the
    constant coefficient is left out.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_DCT_PX, _DCT_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:_KEPT, :_KEPT].ravel()
    bits = low > np.median(low[1:])
    bits[0] = False
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def encode_thumbnail(image: np.ndarray) -> str:
    """Return the picture at 16 × 16 colour pixels, as base64 text."""
    small = cv2.resize(image, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    return base64.b64encode(small.tobytes()).decode("ascii")


def decode_thumbnail(text: str) -> np.ndarray:
    """Return the pixels (768,) uint8 of `encode_thumbnail`."""
    return np.frombuffer(base64.b64decode(text), np.uint8)
