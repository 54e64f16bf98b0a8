"""The patch of fabric over an upright face: a Coons patch from a `Placement`, and its smooth inverse."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import StageError
from synth.masks.fit import Array, Face, foreshorten
from synth.masks.wear import Hang, Placement

S_GRID = np.linspace(-1.0, 1.0, 9)
T_GRID = np.linspace(0.0, 1.0, 5)
_STEP_PX = 10


def lay_patch(face: Face, place: Placement) -> Array:
    """(5, 9, 2) upright px: where the fabric point (T_GRID[i], S_GRID[j]) lies on the face."""
    top_mid, bottom_mid = face.midline(place.top_v), face.midline(place.bottom_v)
    sides = {sign: _side(face, place, sign) for sign in (-1, 1)}
    middle = _middle_line(face, place, top_mid, bottom_mid, sides)
    patch = np.empty((len(T_GRID), len(S_GRID), 2))
    half = len(S_GRID) // 2
    widths = {sign: abs(float(side[:, 0].mean() - middle[:, 0].mean())) for sign, side in sides.items()}
    a = np.linspace(0.0, 1.0, half + 1)
    for sign, side in sides.items():
        share = foreshorten(a, widths[sign], widths[-sign])
        top = _top_edge(face, place, top_mid, side[0], share)
        bottom = _bottom_edge(face, place, bottom_mid, side[-1], a, sign)
        quad = _coons(top, bottom, middle, side, share)
        if sign < 0:
            patch[:, : half + 1] = quad[:, ::-1]
        else:
            patch[:, half:] = quad
    return patch


def _coons(top: Array, bottom: Array, middle: Array, side: Array, share: Array) -> Array:
    """(5, n, 2) blend of four edges; `share` (n,) is how far across each column lies."""
    w, t = share[None, :, None], T_GRID[:, None, None]
    across = (1 - w) * middle[:, None] + w * side[:, None]
    down = (1 - t) * (top - ((1 - w[0]) * top[0] + w[0] * top[-1]))[None]
    up = t * (bottom - ((1 - w[0]) * bottom[0] + w[0] * bottom[-1]))[None]
    return across + down + up


def _middle_line(face: Face, place: Placement, top: Array, bottom: Array, sides: dict[int, Array]) -> Array:
    """(5, 2): from the nose to below the chin, bent towards where the nose tip points (the fabric is a tent)."""
    line = top + (bottom - top) * T_GRID[:, None]
    tip = face.midline(1.0)
    if place.top_v < 1.0 < place.bottom_v:
        at = (tip[1] - top[1]) / max(bottom[1] - top[1], 1e-6)
        push = tip[0] - (top + (bottom - top) * at)[0]
        room = np.maximum(0.5 * np.abs(sides[1 if push > 0 else -1][:, 0] - line[:, 0]), 1e-3)
        bend = 0.9 * push * np.sin(np.pi * T_GRID) ** 0.8
        line[:, 0] += room * np.tanh(bend / room)  # at high yaw the far cheek keeps half of its width
    return line


def _side(face: Face, place: Placement, sign: int) -> Array:
    """(5, 2): the side edge, a nearly straight line between two corners on or a little inside the jaw line.

    It does not follow the jaw: the bottom edge does, and a corner of no angle would fold the fabric.
    """
    k = np.array([_top_k(face, place, sign), place.bottom_k - sign * place.tilt_k])
    ends = face.jaw_many(k if sign < 0 else 16 - k)
    stations = face.points_xy[[27, 30, 8]]
    axis_x = np.interp(ends[:, 1], stations[:, 1], stations[:, 0])
    ends[:, 0] = axis_x + (ends[:, 0] - axis_x) * np.array([place.reach, 1.06 * place.reach])
    ends[1, 1] += place.fall * face.scale_px
    line = ends[0] + (ends[1] - ends[0]) * T_GRID[:, None]
    line[:, 0] -= sign * 0.010 * face.scale_px * np.sin(np.pi * T_GRID)  # gathered by the loop
    return line


def _top_k(face: Face, place: Placement, sign: int) -> float:
    """Jaw index of the top corner: on the far side of a turned face the fabric goes out of sight higher up."""
    half, other = (abs(face.jaw(3.0 if side < 0 else 13.0)[0] - face.midline(2.0)[0]) for side in (sign, -sign))
    shown = min(1.0, half / max(other, 1e-6))
    return (place.top_k - sign * place.tilt_k) * (1.0 if place.top_v > 3.0 else 0.4 + 0.6 * shown)


def _top_edge(face: Face, place: Placement, mid: Array, corner: Array, share: Array) -> Array:
    """(n, 2) from the midline to the corner: a rounded peak on the nose and a dip on the cheek, or a U."""
    soft = np.sqrt(share**2 + 0.02) - np.sqrt(0.02)
    straight = mid + (corner - mid) * np.stack([share, soft / soft[-1]], axis=1)
    straight[:, 1] += place.sag * face.scale_px * 4 * share * (1 - share)
    return straight + place.follow * (_u_edge(mid, corner, share) - straight)


def _bottom_edge(face: Face, place: Placement, mid: Array, corner: Array, a: Array, sign: int) -> Array:
    """(n, 2) from the midline to the corner, round the chin and a little outside of the jaw."""
    outwards = np.array([0.6 * sign, 1.0]) * place.out * face.scale_px
    return _u_edge(mid, corner, a) + np.sin(np.pi * a)[:, None] ** 1.2 * outwards


def _u_edge(mid: Array, corner: Array, a: Array) -> Array:
    """(n, 2) half of a U: level at the midline, between a parabola and an ellipse, so that corners keep an angle."""
    round_ = np.stack([np.sin(0.5 * np.pi * a), 1 - np.cos(0.5 * np.pi * a)], axis=1)
    flat = np.stack([a, a**2], axis=1)
    return np.asarray(mid + (corner - mid) * (0.35 * round_ + 0.65 * flat), dtype=np.float64)


def lay_hanging(face: Face, hang: Hang, ear_xy: Array) -> Array:
    """(5, 9, 2) upright px of a mask that hangs from the ear at `ear_xy`: its long axis points down."""
    scale = face.scale_px
    down = np.deg2rad(90.0 + hang.side * hang.sway_deg - 0.9 * face.roll_deg)  # it hangs, the head is tilted
    axis = np.array([np.cos(down), np.sin(down)])
    across = np.array([-axis[1], axis[0]]) * hang.side  # from the chin edge to the nose edge
    start = ear_xy + scale * (hang.drop * axis + hang.away * np.array([hang.side, 0.0]))
    along = (S_GRID * -hang.side + 1) / 2  # 0 at the edge that the ear holds
    breadth = hang.breadth * (hang.narrow + (1 - hang.narrow) * np.minimum(1, 2.5 * along))
    centre = start + scale * (hang.length * along[:, None] * axis + hang.curl * np.sin(np.pi * along)[:, None] * across)
    offset = (0.5 - T_GRID)[:, None, None] * (breadth[:, None] * scale * across)[None]
    return np.asarray(centre[None] + offset, dtype=np.float64)


class Spline:
    """Thin-plate spline from image pixels to template pixels, exact at the control points (Bookstein 1989)."""

    def __init__(self, at_xy: Array, values_xy: Array) -> None:
        """`at_xy` (n, 2) image px, `values_xy` (n, 2) template px."""
        self._origin, self._size = at_xy.mean(0), float(np.ptp(at_xy, axis=0).max())
        self._at = (at_xy - self._origin) / self._size
        n = len(at_xy)
        system = np.zeros((n + 3, n + 3))
        system[:n, :n] = _kernel(self._at, self._at)
        system[:n, n], system[:n, n + 1 :] = 1.0, self._at
        system[n, :n], system[n + 1 :, :n] = 1.0, self._at.T
        self._coef = np.linalg.solve(system, np.vstack([values_xy, np.zeros((3, 2))]))

    def __call__(self, xy: Array) -> Array:
        """(m, 2) image px → (m, 2) template px."""
        p = (xy - self._origin) / self._size
        return _kernel(p, self._at) @ self._coef[:-3] + self._coef[-3] + p @ self._coef[-2:]


def _kernel(a: Array, b: Array) -> Array:
    d2 = np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2.0 * a @ b.T, 1e-12)
    return d2 * np.log(d2)


def dense_map(spline: Spline, roi_xyxy: tuple[int, int, int, int], alpha: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(h, w, 2) float32 template px for each ROI pixel: the spline on a coarse grid, bicubic in between.

    `cv2.resize` takes exact weights; `cv2.warpAffine` rounds them to 1/32 of a cell, which shows as saw teeth.
    `alpha` is the template's: StageError where the map turns over in visible fabric (a torn corner).
    """
    x0, y0, x1, y1 = roi_xyxy
    w, h, step = x1 - x0, y1 - y0, _STEP_PX
    nx, ny = -(-w // step) + 4, -(-h // step) + 4
    gx, gy = np.meshgrid((np.arange(nx) - 1.5) * step - 0.5 + x0, (np.arange(ny) - 1.5) * step - 0.5 + y0)
    grid = spline(np.column_stack([gx.ravel(), gy.ravel()])).reshape(ny, nx, 2).astype(np.float32)
    du, dv = np.diff(grid, axis=1)[:-1], np.diff(grid, axis=0)[:, :-1]
    turned = du[..., 0] * dv[..., 1] - du[..., 1] * dv[..., 0] <= 0
    if turned.any():
        x, y = np.rint(grid[:-1, :-1][turned]).astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < alpha.shape[1]) & (y < alpha.shape[0])
        if np.count_nonzero(alpha[y[inside], x[inside]]) > 1:  # one cell in a corner is a crease, not a tear
            raise StageError("bad geometry: the mask would fold over itself on these landmarks.")
    full = cv2.resize(grid, (nx * step, ny * step), interpolation=cv2.INTER_CUBIC)
    return np.asarray(full[2 * step : 2 * step + h, 2 * step : 2 * step + w], dtype=np.float32)


def refuse_folds(patch: Array, scale_px: float) -> None:
    """Raise StageError where a cell of the patch is turned over or has no area: the landmarks are not usable."""
    du, dv = np.diff(patch, axis=1)[:-1], np.diff(patch, axis=0)[:, :-1]
    area = du[..., 0] * dv[..., 1] - du[..., 1] * dv[..., 0]
    area[[0, 0, -1, -1], [0, -1, 0, -1]] = np.inf  # corners are cut away by the outline
    if area.min() <= 1e-5 * scale_px**2:
        raise StageError("bad geometry: the mask would fold over itself on these landmarks.")
