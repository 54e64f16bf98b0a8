"""A guided filter that upsamples a coarse alpha along the edges of the image."""

from __future__ import annotations

import cv2
import numpy as np


def guided_alpha(image: np.ndarray, alpha: np.ndarray, radius_px: int, epsilon: float) -> np.ndarray:
    """Return a coarse alpha at the size of the image (H, W), its edge aligned with the edges of the image.

    The guided filter (He, Sun and Tang 2013, "Guided Image Filtering") with coefficients computed at alpha's size and
    applied at the image's (He and Sun 2015, "Fast Guided Filter"). `image` is (H, W, 3) uint8, `alpha` (h, w) with
    h ≤ H, `radius_px` counts pixels of alpha, `epsilon` is the variance of grey (in [0, 1]²) that counts as flat.
    """
    height, width = alpha.shape
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    guide = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.blur(values, (2 * radius_px + 1, 2 * radius_px + 1), borderType=cv2.BORDER_REFLECT)

    mean_guide, mean_alpha = mean(guide), mean(alpha)
    slope = (mean(guide * alpha) - mean_guide * mean_alpha) / (mean(guide * guide) - mean_guide**2 + epsilon)
    offset = mean_alpha - slope * mean_guide
    full_wh = image.shape[1], image.shape[0]
    slope, offset = (cv2.resize(mean(part), full_wh, interpolation=cv2.INTER_LINEAR) for part in (slope, offset))
    return np.clip(slope * grey + offset, 0, 1)
