"""Mapping between head units, canvas pixels and image pixels: the turn, position and roll of the head."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from synth.demo_faces.parameters import Person, Snapshot
from synth.demo_faces.surface import DENSITY, EYE_X, MOUTH_Y, X_HALF, Y_TOP, Array, ShellRadii, mouth_half_width

WIDTH_PX, HEIGHT_PX = 384, 512
OVERSAMPLE = 1.1  # factor of the canvas over the image; the last resampling shrinks it, which smooths edges
BELOW_PX = 16  # canvas rows below the image, which a rolled image shows at its lower corners
PIVOT_Y = 2.3  # height of the point of the neck about which the head rolls, head units
WARP_STEP = 8  # the expression field is stored at every 8th atlas pixel


@dataclass(frozen=True)
class View:
    """The upright canvas of one snapshot: `scale` pixels per unit, origin between the eyes at (ox, oy)."""

    scale: float
    ox: float
    oy: float
    width: int
    height: int
    yaw: float

    @classmethod
    def of(cls, snapshot: Snapshot) -> View:
        """Return the canvas of a snapshot."""
        return cls(
            snapshot.scale_px * OVERSAMPLE,
            snapshot.eye_x_px * OVERSAMPLE,
            snapshot.eye_y_px * OVERSAMPLE,
            round(WIDTH_PX * OVERSAMPLE),
            round((HEIGHT_PX + BELOW_PX) * OVERSAMPLE),
            float(np.radians(snapshot.yaw_deg)),
        )

    def roi(self, left: float, top: float, right: float, bottom: float) -> tuple[slice, slice]:
        """Return (rows, columns) of the canvas that cover a rectangle in head units, at least 8 px wide and high."""
        x0 = int(np.clip(np.floor(left * self.scale + self.ox), 0, self.width - 8))
        x1 = int(np.clip(np.ceil(right * self.scale + self.ox), x0 + 8, self.width))
        y0 = int(np.clip(np.floor(top * self.scale + self.oy), 0, self.height - 8))
        y1 = int(np.clip(np.ceil(bottom * self.scale + self.oy), y0 + 8, self.height))
        return slice(y0, y1), slice(x0, x1)

    def axes(self, roi: tuple[slice, slice]) -> tuple[Array, Array]:
        """Return the coordinates of a region's pixels in head units: u (1, W) and v (H, 1)."""
        u = (np.arange(roi[1].start, roi[1].stop, dtype=np.float32) + 0.5 - self.ox) / self.scale
        v = (np.arange(roi[0].start, roi[0].stop, dtype=np.float32) + 0.5 - self.oy) / self.scale
        return u[None, :], v[:, None]


def turn_radii(radii: ShellRadii, v: Array, yaw: float) -> tuple[Array, Array, Array, Array]:
    """Return (a, b, projected half-width, shift of the angle) of a shell's cross-sections at heights `v`."""
    a, b = radii.at(v)
    c, s = np.float32(np.cos(yaw)), np.float32(np.sin(yaw))
    return a, b, np.hypot(a * c, b * s), np.arctan2(b * s, a * c)


def expression_field(person: Person, snapshot: Snapshot) -> Array:
    """Return the displacement by the expression on the coarse atlas grid, (h, w, 3): dx, dy and lift, head units."""
    step = WARP_STEP / DENSITY
    x = np.arange(-X_HALF, X_HALF + step, step, dtype=np.float32)[None, :]
    y = np.arange(Y_TOP, -Y_TOP + step, step, dtype=np.float32)[:, None]

    def spot(cx: float, cy: float, sx: float, sy: float) -> Array:
        return (np.exp(-(((np.abs(x) - cx) / sx) ** 2)) * np.exp(-(((y - cy) / sy) ** 2))).astype(np.float32)

    k, smile = person.face.length, snapshot.smile
    corner = spot(mouth_half_width(person.face), MOUTH_Y * k, 0.20, 0.17)
    cheek = spot(0.60, 0.55, 0.26, 0.22)
    brow = spot(EYE_X, -0.34, 0.42, 0.17)
    inner_brow = spot(0.10, -0.30, 0.22, 0.16)
    dx = smile * 0.060 * corner * np.sign(x)
    dy = -smile * (0.055 * corner + 0.030 * cheek) - 0.045 * snapshot.brow_raise * brow
    dy = dy + 0.020 * np.minimum(snapshot.brow_raise, 0) * -inner_brow
    lift = max(smile, 0.0) * (0.035 * cheek - 0.020 * spot(0.46, 0.84, 0.09, 0.20) * (0.5 + person.skin.wrinkles))
    return np.stack(np.broadcast_arrays(dx, dy, lift), axis=-1).astype(np.float32)


def roll_map(snapshot: Snapshot) -> tuple[Array, Array]:
    """Return for every image pixel its position on the canvas: a roll that fades below the neck.

    Two (H, W) float32 maps in canvas pixels.
    """
    x = np.arange(WIDTH_PX, dtype=np.float32)[None, :] + 0.5
    y = np.arange(HEIGHT_PX, dtype=np.float32)[:, None] + 0.5
    px, py = snapshot.eye_x_px, snapshot.eye_y_px + PIVOT_Y * snapshot.scale_px
    fade = np.clip((py + 1.2 * snapshot.scale_px - y) / (1.6 * snapshot.scale_px), 0.0, 1.0)
    angle = np.radians(snapshot.roll_deg) * (0.25 + 0.75 * fade * fade * (3 - 2 * fade))
    c, s = np.cos(angle), np.sin(angle)
    map_x = c * (x - px) + s * (y - py) + px
    map_y = -s * (x - px) + c * (y - py) + py
    return (map_x * OVERSAMPLE - 0.5).astype(np.float32), (map_y * OVERSAMPLE - 0.5).astype(np.float32)


def picture_points(canvas_xy: Array, maps: tuple[Array, Array]) -> Array:
    """Convert canvas pixels (N, 2) to image pixels: the inverse of `roll_map`, by fixed-point steps."""
    target = canvas_xy.astype(np.float32)
    point = target / OVERSAMPLE
    for _ in range(12):
        at = point.reshape(1, -1, 2) - 0.5
        seen_x = cv2.remap(maps[0], at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0] + 0.5
        seen_y = cv2.remap(maps[1], at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0] + 0.5
        point = point + (target - np.stack([seen_x, seen_y], axis=1)) / OVERSAMPLE
    return point.astype(np.float32)
