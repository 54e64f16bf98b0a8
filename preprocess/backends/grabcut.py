"""Background removal with GrabCut (Rother, Kolmogorov and Blake 2004), seeded from the face box; needs no model file.

In a portrait the face box determines the seeds: face and neck are foreground, the corners above the shoulders are
background, hair and shoulders are undecided. Colour models and cut run on a small copy (128 px); a guided filter then
restores the edge at the image's resolution.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import cv2
import numpy as np

from pipeline.faces import centre_box
from preprocess.backends.guided_filter import guided_alpha

VERSION = f"{version('opencv-python-headless')}.3"  # the last digit counts changes of this module


def make(side_px: int = 128, iterations: int = 3) -> Callable[[np.ndarray, np.ndarray | None], np.ndarray]:
    """Return a remover: image (H, W, 3), box_xyxy (4,) or None → alpha (H, W) float32.

    Without a box the middle of the image is used. `side_px` is the longer side of the copy that GrabCut works on.
    """

    def alpha(image: np.ndarray, box_xyxy: np.ndarray | None) -> np.ndarray:
        height, width = image.shape[:2]
        zoom = min(1.0, side_px / max(height, width))
        small = cv2.resize(image, (round(width * zoom), round(height * zoom)), interpolation=cv2.INTER_AREA)
        box = centre_box((width, height)) if box_xyxy is None else box_xyxy
        seeds = seed_mask(small.shape[:2], np.asarray(box, float) * zoom)
        cut = _cut(small, seeds, iterations)
        return guided_alpha(image, cut, radius_px=3, epsilon=1e-4)

    return alpha


def seed_mask(shape: tuple[int, int], box_xyxy: np.ndarray) -> np.ndarray:
    """Return GrabCut's four labels (H, W) uint8 for a face box in the same pixels."""
    height = shape[0]
    x0, y0, x1, y1 = box_xyxy
    face_w, face_h = x1 - x0, y1 - y0
    cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
    mask = np.full(shape, cv2.GC_BGD, np.uint8)

    def ellipse(x: float, y: float, reach_x: float, reach_y: float, mark: int) -> None:
        cv2.ellipse(mask, ((x, y), (2 * max(reach_x, 1), 2 * max(reach_y, 1)), 0), int(mark), -1)

    def body(shoulder_y: float, slope_h: float, neck: float, reach: float, mark: int) -> None:
        """Fill neck and shoulders at their likely width, down to the lower edge or below it."""
        drop = shoulder_y + slope_h
        right = [(cx + neck, cy), (cx + neck, shoulder_y), (cx + reach, drop), (cx + reach * 1.25, height + face_h)]
        left = [(2 * cx - x, y) for x, y in reversed(right)]
        cv2.fillPoly(mask, [np.round(np.array(right + left)).astype(np.int32)], int(mark))

    ellipse(cx, cy - 0.1 * face_h, 1.15 * face_w, 1.1 * face_h, cv2.GC_PR_BGD)  # possible extent of hair
    body(y1 - 0.1 * face_h, 0.35 * face_h, 0.9 * face_w, 2.6 * face_w, cv2.GC_PR_BGD)
    ellipse(cx, cy - 0.08 * face_h, 0.72 * face_w, 0.78 * face_h, cv2.GC_PR_FGD)
    # Shoulders begin at the chin: seeds further down lie below the picture where it ends close to the face, and a dark
    # suit then counts as background.
    body(y1, 0.25 * face_h, 0.45 * face_w, 1.5 * face_w, cv2.GC_PR_FGD)
    ellipse(cx, cy - 0.06 * face_h, 0.47 * face_w, 0.6 * face_h, cv2.GC_FGD)  # up to the crown, with hair colours
    body(y1 + 0.2 * face_h, 0.2 * face_h, 0.2 * face_w, 0.7 * face_w, cv2.GC_FGD)
    return mask


def _cut(small: np.ndarray, seeds: np.ndarray, iterations: int) -> np.ndarray:
    """Return alpha (h, w) float32 of 0 and 1: the part of the cut that is connected to the face, without holes."""
    mask = seeds.copy()
    models = np.zeros((2, 1, 65))
    if np.all((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)):  # the face fills the picture
        return np.ones(mask.shape, np.float32)
    cv2.setRNGSeed(0)  # GrabCut initialises its colour clusters at random
    whole = (0, 0, *reversed(mask.shape))  # ignored: the labels initialise the cut
    cv2.grabCut(small, mask, whole, models[0], models[1], iterations, cv2.GC_INIT_WITH_MASK)
    person = ((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)).astype(np.uint8)
    return _one_piece(person, seeds == cv2.GC_FGD).astype(np.float32)


def _one_piece(person: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """Keep the components that touch certain foreground, and fill holes that do not reach the edge of the image."""
    _, labels = cv2.connectedComponents(person, connectivity=4)
    kept = np.isin(labels, np.setdiff1d(labels[sure], 0)).astype(np.uint8)
    outside = cv2.copyMakeBorder(1 - kept, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    outside[-1] = 0  # the body extends to the lower edge: no background enters there
    _, labels = cv2.connectedComponents(outside, connectivity=4)
    return (labels[1:-1, 1:-1] != labels[0, 0]).astype(np.uint8)
