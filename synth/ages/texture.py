"""Fine texture of a face: wavelet bands, their local amplitudes, and their change from one age to another.

The à trous wavelet transform (Starck and Murtagh 1994) splits lightness into bands of the image's size that sum, with
the rest, to the image itself. Amplitudes are measured separately on the dark and the bright side of zero: a wrinkle is
a dark line, grey stubble or a highlight a bright one.

An age change scales the amplitudes by their ratio between the prototypes (Tiddeman, Burt and Perrett 2001), which
deepens existing lines. Detail still missing from the typical amplitude of the target band is taken from the band's most
typical real face of nearest shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from synth.ages.frame import F32, FRAME_WH
from synth.ages.zones import Zones

N_BANDS = 4  # centred on details of about 2, 4, 8 and 16 px on a face JAW_PX wide
N_DETAIL = 3  # bands with lines and pores; the fourth holds the shading of the head
AMPLITUDE_STEP = 4  # amplitudes are smooth: kept at a quarter of the size
_SPLINE = np.array([1, 4, 6, 4, 1], np.float32) / 16
LOG_FLOOR = 0.15  # L* units; below it a band holds only sensor noise and JPEG artefacts
_MAX_LOG_GAIN = float(np.log(2.2))
LINES = 1.2  # gain of added lines: at 0.8 they are hardly visible, at 1.5 unnatural
_MAX_ADDED = 1.5  # times the lines of the typical face; more would amplify its grain


def split_bands(lightness: F32) -> tuple[list[F32], F32]:
    """Split (H, W) into N_BANDS bands (H, W), finest first, and the smooth rest (H, W)."""
    bands, rest = [], lightness
    for level in range(N_BANDS):
        kernel = np.zeros(4 * 2**level + 1, np.float32)
        kernel[:: 2**level] = _SPLINE
        smooth = cv2.sepFilter2D(rest, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)
        bands.append(rest - smooth)
        rest = np.asarray(smooth, np.float32)
    return bands, rest


def amplitudes(bands: list[F32]) -> F32:
    """Return (N_BANDS, 2, H/4, W/4) local means of the dark and bright side of each band, in units of the image."""
    out = []
    for level, band in enumerate(bands):
        height, width = band.shape
        small = (width // AMPLITUDE_STEP, height // AMPLITUDE_STEP)
        for side in (np.maximum(-band, 0), np.maximum(band, 0)):
            local = cv2.resize(side, small, interpolation=cv2.INTER_AREA)
            out.append(cv2.GaussianBlur(local, (0, 0), 1.0 + 0.8 * level))
    return np.stack(out).reshape(len(bands), 2, *out[0].shape).astype(np.float32)


@dataclass(frozen=True)
class TextureChange:
    """Change of texture from source to target age band. Logs are (N_BANDS, 2, h, w), dark and bright side.

    `details` (K, N_DETAIL, H, W) L* are typical faces of the target band, none if it is the younger one; `amplitudes`
    (K, N_DETAIL, h, w) are their local amplitudes.
    """

    log_gain: F32
    log_source: F32
    log_target: F32
    details: F32
    amplitudes: F32


def aged_lightness(lightness: F32, change: TextureChange, choice: int | None, zones: Zones, strength: float) -> F32:
    """Return the texture change to add to the lightness (H, W) of a face in the frame, L*.

    `choice` is the index of a typical face, ~index for its mirror image; None adds no lines.
    """
    bands, _ = split_bands(lightness)
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
    """Return (N_BANDS,) up to 1: the resolved share of each band, measured at brows and eyes, which all ages have."""
    features = cv2.resize(zones.features, own.shape[:1:-1], interpolation=cv2.INTER_AREA)
    apart = (np.log(own + LOG_FLOOR) - log_source).mean(axis=1)
    share = np.exp((apart * features).sum(axis=(1, 2)) / features.sum())
    return np.asarray(np.minimum(share, 1.0), np.float32)
