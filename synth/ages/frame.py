"""The common frame of all faces: alignment by similarity, and smooth warps between a face and the mean shape.

The frame has FRAME_WH pixels; in it a face is upright with a jaw JAW_PX wide. After the warp to the mean shape, a pixel
is the same part of every face, so that images can be averaged and differences applied to other faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.masks import MIRROR_INDEX

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

FRAME_WH = (288, 352)
JAW_PX = 192.0  # width of a frontal jaw in a 384 × 512 portrait
_NO_SECOND_MAP = np.empty(0, np.float32)
_STEP_PX = 8  # warps are smooth, so they are computed on this grid and interpolated
_ARC = np.linspace(0, np.pi, 11)[1:-1]


def similarity(source_xy: NDArray[np.floating], target_xy: NDArray[np.floating]) -> F64:
    """Return the similarity (2, 3) that brings source (n, 2) nearest to target (n, 2) in the least-squares sense.

    Umeyama (1991) without reflection; in the plane it is one complex division.
    """
    source, target = _complex(source_xy), _complex(target_xy)
    source_mean, target_mean = source.mean(), target.mean()
    spread = np.vdot(source - source_mean, source - source_mean).real
    turn = np.vdot(source - source_mean, target - target_mean) / spread
    shift = target_mean - turn * source_mean
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def _complex(xy: NDArray[np.floating]) -> NDArray[np.complex128]:
    points = np.asarray(xy, np.float64)
    return points[:, 0] + 1j * points[:, 1]


def transform_points(matrix: F64, xy: NDArray[np.floating]) -> F64:
    """Apply an affine map (2, 3) to (n, 2) points."""
    return np.asarray(xy @ matrix[:, :2].T + matrix[:, 2], np.float64)


def invert_affine(matrix: F64) -> F64:
    """Invert an affine map (2, 3)."""
    return np.asarray(cv2.invertAffineTransform(matrix), np.float64)


def mean_shape(shapes_xy: Sequence[NDArray[np.floating]], rounds: int = 4) -> F64:
    """Return the mean landmarks (68, 2) in the frame, by generalised Procrustes analysis (Gower 1975).

    Every face also counts as its mirror image, so the mean is symmetric about the middle of the frame.
    """
    both = [np.asarray(s, np.float64) for s in shapes_xy] + [mirrored(s) for s in shapes_xy]
    mean = _placed(both[0])
    for _ in range(rounds):
        mean = _placed(np.mean([transform_points(similarity(shape, mean), shape) for shape in both], axis=0))
    return mean


def mirrored(shape_xy: NDArray[np.floating]) -> F64:
    """Mirror landmarks in the frame, whose middle is x = (width − 1) / 2."""
    turned = np.asarray(shape_xy, np.float64)[MIRROR_INDEX]
    return np.column_stack([FRAME_WH[0] - 1 - turned[:, 0], turned[:, 1]])


def _placed(shape_xy: F64) -> F64:
    """Place a shape upright, JAW_PX wide and in the middle of the frame, with room for the forehead."""
    jaw = shape_xy[16] - shape_xy[0]
    zoom = JAW_PX / np.hypot(*jaw)
    turn = np.arctan2(jaw[1], jaw[0])
    cos, sin = zoom * np.cos(turn), zoom * np.sin(turn)
    placed = shape_xy @ np.array([[cos, -sin], [sin, cos]])
    outline = np.vstack([placed, forehead(placed)])
    low, high = outline.min(axis=0), outline.max(axis=0)
    return np.asarray(placed - (low + high) / 2 + (np.array(FRAME_WH) - 1) / 2, np.float64)


def forehead(landmarks_xy: NDArray[np.floating]) -> F64:
    """Return points (9, 2) from temple to temple over the forehead, which the 68 landmarks do not cover.

    Half an ellipse on the line between the ends of the jaw, whose height is 0.72 of the distance from there to the
    chin: just below most people's hairline.
    """
    points = np.asarray(landmarks_xy, np.float64)
    middle, across = (points[0] + points[16]) / 2, (points[16] - points[0]) / 2
    up = 0.72 * (middle - points[8])
    return middle - np.cos(_ARC)[:, None] * across + np.sin(_ARC)[:, None] * up


def with_forehead(landmarks_xy: NDArray[np.floating]) -> F64:
    """Append the forehead points to the landmarks: (77, 2)."""
    return np.vstack([np.asarray(landmarks_xy, np.float64), forehead(landmarks_xy)])


def border(width: int, height: int, count: int = 6) -> F64:
    """Return points (4 * count, 2) around a rectangle, which a warp keeps fixed."""
    share = np.arange(count) / count
    right, bottom = width - 1.0, height - 1.0
    sides = [(share * right, 0 * share), (0 * share + right, share * bottom)]
    sides += [(right * (1 - share), 0 * share + bottom), (0 * share, bottom * (1 - share))]
    return np.vstack([np.column_stack(side) for side in sides])


class Warp:
    """A thin-plate spline (Bookstein 1989) on fixed control points, linear in their target positions."""

    def __init__(self, control_xy: F64, size_wh: tuple[int, int], *, smooth: float = 1e-3) -> None:
        """Take `control_xy` (n, 2) in an image of `size_wh`; `smooth` > 0 keeps near points from folding the map."""
        self.size_wh = size_wh
        columns = [*range(0, size_wh[0] - 1, _STEP_PX), size_wh[0] - 1]
        rows = [*range(0, size_wh[1] - 1, _STEP_PX), size_wh[1] - 1]
        self._grid_hw = (len(rows), len(columns))
        grid = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2).astype(np.float64)
        self._unit = float(max(size_wh))  # the kernel needs numbers near 1
        control, n = control_xy / self._unit, len(control_xy)
        system = np.zeros((n + 3, n + 3))
        system[:n, :n] = _kernel(control, control) + smooth / n * np.eye(n)
        system[:n, n:] = np.column_stack([np.ones(n), control])
        system[n:, :n] = system[:n, n:].T
        at = grid / self._unit
        self._basis = np.column_stack([_kernel(at, control), np.ones(len(at)), at])
        self._system = system

    def maps(self, *targets_xy: F64) -> list[F32]:
        """Return for each target (n, 2) the map (H, W, 2) float32 from pixels here to positions in the target."""
        stacked = np.hstack(targets_xy)
        solved = np.linalg.solve(self._system, np.vstack([stacked, np.zeros((3, stacked.shape[1]))]))
        values = (self._basis @ solved).astype(np.float32)
        height, width = self._grid_hw
        return [self._enlarge(values[:, i : i + 2].reshape(height, width, 2)) for i in range(0, values.shape[1], 2)]

    def _enlarge(self, grid: F32) -> F32:
        """Interpolate grid values to every pixel. The last row and column of the grid lie on the image's edge."""
        width, height = self.size_wh
        at_x = np.arange(width, dtype=np.float32) / _STEP_PX
        at_y = np.arange(height, dtype=np.float32) / _STEP_PX
        for at, size in ((at_x, width), (at_y, height)):
            last = (size - 2) // _STEP_PX
            at[last * _STEP_PX :] = last + np.linspace(0, 1, size - last * _STEP_PX)
        where = np.stack(np.meshgrid(at_x, at_y), axis=-1).astype(np.float32)
        return np.asarray(sample_image(grid, where), np.float32)


def sample_image(
    image: np.ndarray, where: F32, interpolation: int = cv2.INTER_LINEAR, border_mode: int = cv2.BORDER_REPLICATE
) -> np.ndarray:
    """Sample the image at `where` (H, W, 2), x and y in pixels."""
    return np.asarray(cv2.remap(image, where, _NO_SECOND_MAP, interpolation, borderMode=border_mode))


def _kernel(a: F64, b: F64) -> F64:
    """Return r² log r² between points (n, 2) and (m, 2)."""
    squared = ((a[:, None] - b[None]) ** 2).sum(axis=-1)
    return np.asarray(squared * np.log(squared + 1e-12), np.float64)


@lru_cache(maxsize=4)
def _frame_warp(mean_bytes: bytes) -> Warp:
    mean_xy = np.frombuffer(mean_bytes).reshape(68, 2)
    return Warp(np.vstack([with_forehead(mean_xy), border(*FRAME_WH)]), FRAME_WH)


def to_frame(image: NDArray[np.uint8], landmarks_xy: NDArray[np.floating], mean_xy: F64) -> NDArray[np.uint8]:
    """Warp a face to the mean shape: FRAME_WH pixels, uint8 RGB."""
    to_image = invert_affine(similarity(landmarks_xy, mean_xy))
    target = np.vstack([with_forehead(landmarks_xy), transform_points(to_image, border(*FRAME_WH))])
    (where,) = _frame_warp(np.ascontiguousarray(mean_xy, np.float64).tobytes()).maps(target)
    return np.asarray(sample_image(image, where), np.uint8)
