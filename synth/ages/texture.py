"""Fine texture of another age: amplitudes scaled as between the prototypes, lines added where a young face has none.

Scaling (Tiddeman, Burt and Perrett 2001) deepens the lines that are there. To what is still missing from the typical
amplitude of the target band, the structure comes from the band's most typical face of nearest shape, a real one.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from synth.ages.frame import F32, FRAME_WH
from synth.ages.learn import LOG_FLOOR
from synth.ages.wavelets import N_DETAIL, amplitudes, split
from synth.ages.zones import Zones

_MAX_LOG_GAIN = float(np.log(2.2))
LINES = 1.2  # added over the person's own: at 0.8 they are hardly seen, at 1.5 they look drawn on
_MAX_ADDED = 1.5  # times the lines of the typical face; more would blow up its grain


@dataclass(frozen=True)
class TextureChange:
    """From source to target band. Logs are (N_BANDS, 2, h, w), dark and bright side.

    `details` (K, N_DETAIL, H, W) L* are typical faces of the target band, none when it is the younger one; `shares`
    (K, N_DETAIL, h, w) are their own local amplitudes.
    """

    log_gain: F32
    log_source: F32
    log_target: F32
    details: F32
    amplitudes: F32


def aged_lightness(lightness: F32, change: TextureChange, choice: int | None, zones: Zones, strength: float) -> F32:
    """What to add to the lightness (H, W) of a face in the frame, L*, from its texture alone.

    `choice` names one of the typical faces; None adds no lines. Small negative numbers mean "mirrored": ~k is face k
    seen in a mirror.
    """
    bands, _ = split(lightness)
    own = amplitudes(bands)
    added = np.zeros_like(lightness)
    eyes = 1 - 0.8 * zones.eyes
    for level, band in enumerate(bands):
        dark, bright = (_enlarged(np.exp(_limited(strength * side))) for side in change.log_gain[level])
        added += band * (np.where(band < 0, dark, bright) - 1) * eyes
    if choice is None:
        return added
    sharpness = _sharpness(own, change.log_source, zones)
    face = change.details[choice if choice >= 0 else ~choice]
    local = change.amplitudes[choice if choice >= 0 else ~choice]
    if choice < 0:
        face, local = face[..., ::-1], local[..., ::-1]
    for level in range(N_DETAIL):
        log_wanted = change.log_target[level] + (strength - 1) * change.log_gain[level]
        wanted = sharpness[level] * (np.exp(log_wanted) - LOG_FLOOR).mean(axis=0)
        added += face[level] * _enlarged(strength * LINES * np.minimum(wanted / (local[level] + 0.05), _MAX_ADDED))
    return added


def _limited(log_gain: F32) -> F32:
    return np.asarray(np.clip(log_gain, -_MAX_LOG_GAIN, _MAX_LOG_GAIN), np.float32)


def _enlarged(values: F32) -> F32:
    return np.asarray(cv2.resize(np.asarray(values, np.float32), FRAME_WH, interpolation=cv2.INTER_LINEAR), np.float32)


def _sharpness(own: F32, log_source: F32, zones: Zones) -> F32:
    """(N_BANDS,) up to 1: how much of each band the photo resolves, read at brows and eyes, which all ages have."""
    features = cv2.resize(zones.features, own.shape[:1:-1], interpolation=cv2.INTER_AREA)
    apart = (np.log(own + LOG_FLOOR) - log_source).mean(axis=1)
    share = np.exp((apart * features).sum(axis=(1, 2)) / features.sum())
    return np.asarray(np.minimum(share, 1.0), np.float32)
