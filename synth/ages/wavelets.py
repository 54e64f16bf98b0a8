"""Fine texture: the à trous wavelet transform (Starck and Murtagh 1994) and its local amplitude.

Bands keep the picture's size and sum up, with the rest, to the picture itself. Amplitude is read apart for the dark
and the bright side of zero: a wrinkle is a dark line, a grey stubble or a highlight is a bright one.
"""

from __future__ import annotations

import cv2
import numpy as np

from synth.ages.frame import F32

N_BANDS = 4  # centred on details of about 2, 4, 8 and 16 px of a face that is JAW_PX wide
N_DETAIL = 3  # of them hold lines and pores; the fourth holds the shading of the head
AMPLITUDE_STEP = 4  # amplitudes are smooth: kept at a quarter of the size
_SPLINE = np.array([1, 4, 6, 4, 1], np.float32) / 16


def split(lightness: F32) -> tuple[list[F32], F32]:
    """(H, W) → N_BANDS bands (H, W), finest first, and the smooth rest (H, W)."""
    bands, rest = [], lightness
    for level in range(N_BANDS):
        kernel = np.zeros(4 * 2**level + 1, np.float32)
        kernel[:: 2**level] = _SPLINE
        smooth = cv2.sepFilter2D(rest, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)
        bands.append(rest - smooth)
        rest = np.asarray(smooth, np.float32)
    return bands, rest


def amplitudes(bands: list[F32]) -> F32:
    """(N_BANDS, 2, H/4, W/4) local mean of the dark and of the bright side of each band, in units of the picture."""
    out = []
    for level, band in enumerate(bands):
        height, width = band.shape
        small = (width // AMPLITUDE_STEP, height // AMPLITUDE_STEP)
        for side in (np.maximum(-band, 0), np.maximum(band, 0)):
            local = cv2.resize(side, small, interpolation=cv2.INTER_AREA)
            out.append(cv2.GaussianBlur(local, (0, 0), 1.0 + 0.8 * level))
    return np.stack(out).reshape(len(bands), 2, *out[0].shape).astype(np.float32)
