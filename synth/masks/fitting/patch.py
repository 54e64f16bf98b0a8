"""The patch of fabric over an upright face: a Coons patch from its geometry, and the smooth inverse map."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import StageError
from synth.masks.fitting.face_geometry import Array, FaceGeometry, foreshorten
from synth.masks.placement import HangingGeometry, WornGeometry

Roi = tuple[int, int, int, int]

S_GRID = np.linspace(-1.0, 1.0, 9)
T_GRID = np.linspace(0.0, 1.0, 5)
_ACROSS = np.linspace(0.0, 1.0, len(S_GRID) // 2 + 1)  # from the midline to a side
_SIGNS = np.array([-1.0, 1.0])  # left and right in the image
_FLARE = np.array([1.0, 1.06])  # bottom corners lie a little further out than top corners
_CREASE = 0.003  # share of the map that may be turned over: a crease in a corner, not a fold


def fit_patch(face: FaceGeometry, geometry: WornGeometry) -> Array:
    """Return (5, 9, 2) upright px: the position of the fabric point (T_GRID[i], S_GRID[j]) on the face."""
    aside = np.array([geometry.aside * face.scale_px, 0.0])
    top_mid, bottom_mid = face.midline(geometry.top_v) + aside, face.midline(geometry.bottom_v) + aside
    sides = _sides(face, geometry)
    middle = _middle_line(face, geometry, top_mid, bottom_mid, sides)
    widths = np.abs(sides[..., 0].mean(1) - middle[:, 0].mean())
    share = foreshorten(_ACROSS, widths, widths[::-1])
    top = _top_edges(face, geometry, top_mid, sides[:, 0], share)
    bottom = _bottom_edges(face, geometry, bottom_mid, sides[:, -1])
    left, right = _coons(top, bottom, middle, sides, share)
    return np.concatenate([left[:, ::-1], right[:, 1:]], axis=1)


def inside_share(patch_xy: Array, image_hw: tuple[int, int]) -> float:
    """Return the share of a patch's area, (5, 9, 2) in image px, that lies inside the picture, 0 to 1."""
    rows, columns = (np.linspace(0, size - 1, 4 * size - 3) for size in patch_xy.shape[:2])  # four cells for each one
    grid_xy = np.stack(np.meshgrid(columns, rows), axis=2).astype(np.float32)
    fine = cv2.remap(patch_xy.astype(np.float32), grid_xy, None, cv2.INTER_LINEAR)  # type: ignore[call-overload]
    along, down = fine[:-1, 1:] - fine[:-1, :-1], fine[1:, :-1] - fine[:-1, :-1]
    area = np.abs(along[..., 0] * down[..., 1] - along[..., 1] * down[..., 0])
    centre = (fine[:-1, :-1] + fine[1:, 1:]) / 2
    inside = ((centre >= 0) & (centre <= np.array(image_hw[::-1]) - 1)).all(axis=2)
    return float((area * inside).sum() / max(area.sum(), 1e-6))


def _coons(top: Array, bottom: Array, middle: Array, sides: Array, share: Array) -> Array:
    """Return the (2, 5, n, 2) blend of four edges for each half; `share` (2, n) is each column's position across."""
    w, t = share[:, None, :, None], T_GRID[:, None, None]
    across = (1 - w) * middle[:, None] + w * sides[:, :, None]
    w = share[..., None]
    down = top - ((1 - w) * top[:, :1] + w * top[:, -1:])
    up = bottom - ((1 - w) * bottom[:, :1] + w * bottom[:, -1:])
    return np.asarray(across + (1 - t) * down[:, None] + t * up[:, None], dtype=np.float64)


def _middle_line(face: FaceGeometry, geometry: WornGeometry, top: Array, bottom: Array, sides: Array) -> Array:
    """Return (5, 2) from the nose to below the chin, bent towards the nose tip, which lifts the fabric like a tent."""
    line = top + (bottom - top) * T_GRID[:, None]
    tip = face.midline(1.0)
    if geometry.top_v < 1.0 < geometry.bottom_v:
        at = (tip[1] - top[1]) / max(bottom[1] - top[1], 1e-6)
        push = tip[0] - (top + (bottom - top) * at)[0]
        room = np.maximum(0.5 * np.abs(sides[int(push > 0), :, 0] - line[:, 0]), 1e-3)
        bend = 0.9 * push * np.sin(np.pi * T_GRID) ** 0.8
        line[:, 0] += room * np.tanh(bend / room)  # at high yaw the far cheek keeps half of its width
    return line


def _sides(face: FaceGeometry, geometry: WornGeometry) -> Array:
    """Return (2, 5, 2) left and right edge: nearly straight lines between two corners on or just inside the jaw line.

    They do not follow the jaw, because the bottom edge does, and a corner without an angle would fold the fabric. On
    the far side of a turned face, fabric on the nose disappears from view higher up than fabric below it.
    """
    lift = 0.6 * min(max((2.2 - geometry.top_v) / 1.4, 0.0), 1.0)
    top_k = (geometry.top_k - _SIGNS * geometry.tilt_k) * (1 - lift * (1 - face.side_visibility))
    k = np.stack([top_k, geometry.bottom_k - _SIGNS * geometry.tilt_k], axis=1)
    k[1] = 16 - k[1]
    ends = face.jaw_many(k.ravel()).reshape(2, 2, 2)  # side, end, xy
    stations = face.points_xy[[27, 30, 8]]
    axis_x = np.interp(ends[..., 1], stations[:, 1], stations[:, 0])
    ends[..., 0] = axis_x + (ends[..., 0] - axis_x) * (geometry.reach * _FLARE)
    ends[:, 1, 1] += geometry.fall * face.scale_px
    lines = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * T_GRID[:, None]
    lines[..., 0] -= _SIGNS[:, None] * (0.010 * face.scale_px * np.sin(np.pi * T_GRID))  # gathered by the loop
    return np.asarray(lines, dtype=np.float64)


def _top_edges(face: FaceGeometry, geometry: WornGeometry, mid: Array, corners: Array, share: Array) -> Array:
    """Return (2, n, 2) from the midline to the corners: a rounded peak on the nose and a dip on the cheek, or a U."""
    soft = np.sqrt(share**2 + 0.02) - np.sqrt(0.02)
    straight = mid + (corners - mid)[:, None] * np.stack([share, soft / soft[:, -1:]], axis=2)
    straight[..., 1] += geometry.sag * face.scale_px * 4 * share * (1 - share)
    return straight + geometry.follow * (_u_edges(mid, corners, share) - straight)


def _bottom_edges(face: FaceGeometry, geometry: WornGeometry, mid: Array, corners: Array) -> Array:
    """Return (2, n, 2) from the midline to the corners, around the chin and a little outside the jaw."""
    outwards = np.stack([0.6 * _SIGNS, [1.0, 1.0]], axis=1) * (geometry.out * face.scale_px)
    across = np.broadcast_to(_ACROSS, (2, len(_ACROSS)))
    return _u_edges(mid, corners, across) + np.sin(np.pi * _ACROSS)[:, None] ** 1.2 * outwards[:, None]


def _u_edges(mid: Array, corners: Array, a: Array) -> Array:
    """Return (2, n, 2) halves of a U, level at the midline; between parabola and ellipse, so corners keep an angle."""
    turn = 0.5 * np.pi * a
    curve = np.stack([0.35 * np.sin(turn) + 0.65 * a, 0.35 * (1 - np.cos(turn)) + 0.65 * a**2], axis=2)
    return np.asarray(mid + (corners - mid)[:, None] * curve, dtype=np.float64)


def fit_hanging_patch(face: FaceGeometry, hang: HangingGeometry, ear_xy: Array) -> Array:
    """Return (5, 9, 2) upright px of a mask that hangs from the ear at `ear_xy`, its long axis pointing down."""
    scale = face.scale_px
    # The mask hangs vertically while the head is tilted.
    down = np.deg2rad(90.0 + hang.side * hang.sway_deg - 0.9 * face.roll_deg)
    axis = np.array([np.cos(down), np.sin(down)])
    across = np.array([-axis[1], axis[0]]) * hang.side  # from the chin edge to the nose edge
    start = ear_xy + scale * (hang.drop * axis + hang.away * np.array([hang.side, 0.0]))
    along = (S_GRID * -hang.side + 1) / 2  # 0 at the edge on the ear
    breadth = hang.breadth * (hang.narrow + (1 - hang.narrow) * np.minimum(1, 2.5 * along))
    centre = start + scale * (hang.length * along[:, None] * axis + hang.curl * np.sin(np.pi * along)[:, None] * across)
    offset = (0.5 - T_GRID)[:, None, None] * (breadth[:, None] * scale * across)[None]
    return np.asarray(centre[None] + offset, dtype=np.float64)


class ThinPlateSpline:
    """A thin-plate spline from image pixels to template pixels, exact at the control points (Bookstein 1989)."""

    def __init__(self, at_xy: Array, values_xy: Array) -> None:
        """Fit `values_xy` (n, 2) template px at `at_xy` (n, 2) image px."""
        self._origin, self._size = at_xy.mean(0), float(np.ptp(at_xy, axis=0).max())
        self._at = (at_xy - self._origin) / self._size
        n = len(at_xy)
        system = np.zeros((n + 3, n + 3))
        system[:n, :n] = _kernel(self._at, self._at)
        system[:n, n], system[:n, n + 1 :] = 1.0, self._at
        system[n, :n], system[n + 1 :, :n] = 1.0, self._at.T
        self._coef = np.linalg.solve(system, np.vstack([values_xy, np.zeros((3, 2))]))

    def __call__(self, xy: Array) -> Array:
        """Map (m, 2) image px to (m, 2) template px."""
        p = (xy - self._origin) / self._size
        return _kernel(p, self._at) @ self._coef[:-3] + self._coef[-3] + p @ self._coef[-2:]


def _kernel(a: Array, b: Array) -> Array:
    d2 = np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2.0 * a @ b.T, 1e-12)
    return d2 * np.log(d2)


def dense_map(
    spline: ThinPlateSpline, roi_xyxy: Roi, step: int, alpha: NDArray[np.uint8], sign: int = 1
) -> NDArray[np.float32]:
    """Return (h, w, 2) float32 template px per ROI pixel: the spline every `step` px, cubic in between, then linear.

    Not a bicubic `cv2.resize`, whose kernel (a = -0.75) does not keep straight lines and ripples by a pixel; not
    `cv2.warpAffine`, which rounds its weights to 1/32 of a cell. `alpha` is the template's: raises StageError where the
    map turns over in visible fabric. `sign` is -1 for a template mirrored left to right.
    """
    x0, y0, x1, y1 = roi_xyxy
    w, h, fine_px = x1 - x0, y1 - y0, step // 2
    across, down = _upsampling_weights(-(-w // fine_px) + 2), _upsampling_weights(-(-h // fine_px) + 2)
    nx, ny = across.shape[1], down.shape[1]
    # A fine sample lies in the middle of `fine_px` pixels, the first one before the ROI; one extra coarse step.
    first = -0.5 * fine_px - 0.5 - step
    gx, gy = np.arange(nx) * step + (x0 + first), np.arange(ny) * step + (y0 + first)
    grid = spline(np.stack(np.broadcast_arrays(gx, gy[:, None]), axis=2).reshape(-1, 2)).reshape(ny, nx, 2)
    du, dv = np.diff(grid, axis=1)[:-1], np.diff(grid, axis=0)[:, :-1]
    turned = sign * (du[..., 0] * dv[..., 1] - du[..., 1] * dv[..., 0]) <= 0
    if turned.any():
        x, y = np.rint(grid[:-1, :-1][turned]).astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < alpha.shape[1]) & (y < alpha.shape[0])
        if np.count_nonzero(alpha[y[inside], x[inside]]) > _CREASE * turned.size:
            raise StageError("bad geometry: the mask folds over itself on these landmarks.")
    fine = across @ (down @ grid.reshape(ny, -1)).reshape(-1, nx, 2)  # float64 gives the same bytes with any BLAS
    full = cv2.resize(fine.astype(np.float32), None, fx=fine_px, fy=fine_px, interpolation=cv2.INTER_LINEAR)
    return np.asarray(full[fine_px : fine_px + h, fine_px : fine_px + w], dtype=np.float32)


@lru_cache(maxsize=512)
def _upsampling_weights(fine: int) -> Array:
    """Return (fine, coarse) weights of Catmull and Rom's cubic (1974): two fine samples per coarse one, first at 1."""
    weights = np.zeros((fine, (fine - 1) // 2 + 4))
    for j in range(fine):
        weights[j, j // 2 : j // 2 + 4] = [-0.0625, 0.5625, 0.5625, -0.0625] if j % 2 else [0, 1, 0, 0]
    return weights


def check_no_folds(patch: Array, scale_px: float) -> None:
    """Raise StageError if a cell of the patch is turned over or has no area: the landmarks are unusable."""
    du, dv = np.diff(patch, axis=1)[:-1], np.diff(patch, axis=0)[:, :-1]
    area = du[..., 0] * dv[..., 1] - du[..., 1] * dv[..., 0]
    area[[0, 0, -1, -1], [0, -1, 0, -1]] = np.inf  # the outline cuts corners away
    if area.min() <= 1e-5 * scale_px**2:
        raise StageError("bad geometry: the mask folds over itself on these landmarks.")
