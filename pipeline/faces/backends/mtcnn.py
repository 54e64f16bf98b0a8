"""MTCNN (Zhang et al. 2016, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks").

The three networks and their weights are facenet-pytorch's. The cascade is implemented here because the library spends
half of its time on pooling, most of it on scales and boxes that do not matter for a portrait:

- Every network input is cut from one summed-area table, so the cost of a scale or a box is that of its output cells,
  not of the pixels below them; the numbers equal those of the library's area pooling.
- R-Net and O-Net run channels-last, where their max pooling is several times faster.
- The pyramid is searched coarse to fine: first faces of at least a quarter of the shorter side, and all sizes only if
  none of those is certain. Both passes use the scales of one ladder that starts at `min_face_px`, so a large face gets
  the proposals that the library gives it: on 100 of 100 portraits the same box; with faces of 95 to 130 px in images
  384 px wide, an overlap (IoU) of 0.90 in the 5th percentile.

Therefore small faces in the background are neither searched nor counted once a large face is found.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING

import cv2
import numpy as np

from pipeline.faces.detections import Detections

if TYPE_CHECKING:
    from pipeline.faces.backends.mtcnn_nets import Net

VERSION = f"{version('facenet-pytorch')}.3"  # the last digit counts changes here and in `pipeline.faces.locate`

CELL_PX = 12  # P-Net's receptive field: a face of 12 px at stride 2
STRIDE_PX = 2
R_PX, O_PX = 24, 48
BLOCK = 128  # boxes whose overlaps are computed at once
BATCH = 32  # windows per batch of R-Net and O-Net: batches of varying sizes fragment the heap of a long run
MAX_PIXELS = 4_000_000  # larger images are searched at this size; sums of 255 * 8.4 million overflow int32


def make(
    min_face_px: int = 20,
    coarse_share: float = 0.25,
    sure_score: float = 0.95,
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7),
    factor: float = 0.709,
) -> Callable[[np.ndarray], Detections]:
    """Return a detector.

    `min_face_px`, `thresholds` and `factor` are those of facenet-pytorch. `coarse_share` is the smallest face of the
    first pass as a share of the image's shorter side; 0 searches all sizes at once. A face of the first pass with a
    score of at least `sure_score` makes the second pass unnecessary.
    """
    from pipeline.faces.backends.mtcnn_nets import load_nets  # torch: not needed to know the version

    nets = load_nets()

    def detect(image: np.ndarray) -> Detections:
        zoom = min(1.0, (MAX_PIXELS / (image.shape[0] * image.shape[1])) ** 0.5)
        if zoom < 1:
            size = round(image.shape[1] * zoom), round(image.shape[0] * zoom)
            small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            faces = search(small)
            return Detections(faces.boxes_xyxy / np.float32(zoom), faces.scores, faces.points_xy / np.float32(zoom))
        return search(image)

    def search(image: np.ndarray) -> Detections:
        side = min(image.shape[:2])
        sums = cv2.integral(image)
        ladder = scale_ladder(side, min_face_px, factor)
        coarse = [scale for scale in ladder if CELL_PX / scale >= coarse_share * side]
        if len(coarse) < len(ladder):
            faces = _cascade(nets, sums, coarse, thresholds)
            if len(faces) and faces.scores.max() >= sure_score:
                return faces
        return _cascade(nets, sums, ladder, thresholds)

    return detect


def scale_ladder(side_px: int, min_face_px: int, factor: float) -> list[float]:
    """Return the scales at which faces of min_face_px, min_face_px/factor, … are 12 px, while the side has 12 px."""
    scales, scale = [], CELL_PX / min_face_px
    while side_px * scale >= CELL_PX:
        scales.append(scale)
        scale *= factor
    return scales


def _cascade(
    nets: tuple[Net, Net, Net], sums: np.ndarray, scales: list[float], thresholds: tuple[float, float, float]
) -> Detections:
    """Run the three stages over the given scales; `sums` is the image's summed-area table."""
    if not scales:  # smaller than the smallest face
        return Detections.none()
    p_net, r_net, o_net = nets
    boxes = _propose(p_net, sums, scales, thresholds[0])
    boxes, outputs = _classify(r_net, sums, boxes, R_PX, thresholds[1])
    if len(boxes) == 0:
        return Detections.none()
    offsets, scores = outputs
    keep = _nms(boxes, scores, 0.7)
    boxes = _square(_shift(boxes[keep], offsets[keep]))

    boxes, outputs = _classify(o_net, sums, boxes, O_PX, thresholds[2])
    if len(boxes) == 0:
        return Detections.none()
    offsets, points, scores = outputs
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    points_xy = points.reshape(-1, 2, 5).transpose(0, 2, 1) * sides[:, None] + boxes[:, None, :2] - 1
    boxes = _shift(boxes, offsets)
    keep = _nms(boxes, scores, 0.7, by_smaller=True)
    return Detections(boxes[keep], scores[keep], np.ascontiguousarray(points_xy[keep]))


def _propose(p_net: Net, sums: np.ndarray, scales: list[float], threshold: float) -> np.ndarray:
    """Return the square candidate boxes (N, 4) of P-Net over the pyramid."""
    height, width = sums.shape[0] - 1, sums.shape[1] - 1
    whole = np.array([[0, 0, width, height]])
    found_boxes, found_scores, found_offsets = [], [], []
    for scale in scales:
        small = area_pool(sums, whole, (int(width * scale + 1), int(height * scale + 1)))
        offsets, scores = p_net(small)
        rows, columns = np.nonzero(scores[0, 1] >= threshold)
        corner = np.stack([columns, rows], axis=1).astype(np.float32) * STRIDE_PX + 1
        boxes = np.floor(np.concatenate([corner, corner + CELL_PX - 1], axis=1) / np.float32(scale))
        keep = _nms(boxes, scores[0, 1, rows, columns], 0.5)
        found_boxes.append(boxes[keep])
        found_scores.append(scores[0, 1, rows, columns][keep])
        found_offsets.append(offsets[0][:, rows, columns].T[keep])
    boxes, scores, offsets = (np.concatenate(part) for part in (found_boxes, found_scores, found_offsets))
    keep = _nms(boxes, scores, 0.7)
    boxes, offsets = boxes[keep], offsets[keep]
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    return _square(boxes + offsets * sides)


def _classify(
    net: Net, sums: np.ndarray, boxes: np.ndarray, side_px: int, threshold: float
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Run R-Net or O-Net on each box; return the boxes that pass and the network's outputs for them, score last."""
    height, width = sums.shape[0] - 1, sums.shape[1] - 1
    # The library numbers pixels from 1: a box begins one pixel to the left of its truncated corner.
    windows = np.trunc(boxes).astype(int) - (1, 1, 0, 0)
    windows = np.clip(windows, 0, (width, height, width, height))
    inside = (windows[:, 2:] > windows[:, :2]).all(axis=1)
    boxes = boxes[inside]
    if len(boxes) == 0:
        return boxes, []
    windows = windows[inside]
    parts = [
        net(area_pool(sums, windows[start : start + BATCH], (side_px, side_px)))
        for start in range(0, len(windows), BATCH)
    ]
    *outputs, probabilities = (np.concatenate(part) for part in zip(*parts, strict=True))
    passed = probabilities[:, 1] > threshold
    return boxes[passed], [output[passed] for output in (*outputs, probabilities[:, 1])]


def area_pool(sums: np.ndarray, windows_xyxy: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """Return the mean colours of an image over a grid of cells in each window, from its summed-area table.

    `sums` is `cv2.integral` of the image, (H + 1, W + 1, 3); windows are whole pixels (N, 4), right and lower edge
    excluded. The result is float32 (N, height, width, 3), equal to torch's adaptive average pooling, at a cost that
    depends on the number of cells and not on the pixels below them.
    """
    left, right = _cells(windows_xyxy[:, 0], windows_xyxy[:, 2], size_wh[0])
    top, bottom = _cells(windows_xyxy[:, 1], windows_xyxy[:, 3], size_wh[1])
    flat, stride = sums.reshape(-1, 3), sums.shape[1]

    def corner(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return np.take(flat, rows[:, :, None] * stride + columns[:, None, :], axis=0)

    total = corner(bottom, right) - corner(bottom, left) - corner(top, right) + corner(top, left)
    area = (bottom - top)[:, :, None] * (right - left)[:, None, :]
    return np.divide(total, area[..., None], dtype=np.float32)


def _cells(start: np.ndarray, stop: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return first and last edge (N, count) of the cells that divide start…stop; neighbours share a common pixel."""
    edges = np.arange(count + 1) * (stop - start)[:, None]
    return start[:, None] + edges[:, :-1] // count, start[:, None] - (-edges[:, 1:] // count)


def _shift(boxes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Shift each edge by the regressed share of the box's side."""
    sides = np.tile(boxes[:, 2:] - boxes[:, :2] + 1, 2)
    return boxes + offsets * sides


def _square(boxes: np.ndarray) -> np.ndarray:
    """Extend the shorter side about the centre to a square."""
    sides = boxes[:, 2:] - boxes[:, :2]
    corner = boxes[:, :2] + (sides - sides.max(axis=1, keepdims=True)) / 2
    return np.concatenate([corner, corner + sides.max(axis=1, keepdims=True)], axis=1)


def _nms(boxes: np.ndarray, scores: np.ndarray, threshold: float, by_smaller: bool = False) -> np.ndarray:
    """Return the indices that non-maximum suppression keeps, best first.

    Of boxes that overlap by more than the threshold, the one with the higher score stays. The overlap is a share of
    the union or, with `by_smaller`, of the smaller box, which removes a box inside another one. As in the library, box
    sides include both end pixels in the second case only.
    """
    order = np.argsort(-scores, kind="stable")
    low, high = boxes[order, :2], boxes[order, 2:] + (1 if by_smaller else 0)
    areas = (high - low).prod(axis=1)
    left = np.ones(len(order), bool)
    kept = []
    for start in range(
        0, len(order), BLOCK
    ):  # in blocks: the whole matrix of a large image's proposals would not fit into memory
        rows = slice(start, start + BLOCK)
        sides = np.minimum(high[rows, None], high[None]) - np.maximum(low[rows, None], low[None])
        overlap = np.maximum(sides[..., 0], 0) * np.maximum(sides[..., 1], 0)
        pairs = (areas[rows, None], areas[None])
        whole = np.minimum(*pairs) if by_smaller else np.add(*pairs) - overlap
        apart = overlap <= threshold * whole
        for offset in range(len(apart)):
            if left[start + offset]:
                kept.append(start + offset)
                left &= apart[offset]
    return order[kept]
