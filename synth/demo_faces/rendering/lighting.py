"""Light: shadows, Lambert and specular shading, and the tone curve."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.demo_faces.parameters import Snapshot
from synth.demo_faces.rendering.layers import Layer
from synth.demo_faces.surface import Array

# Wrap lighting, widest in red: a cheap approximation of subsurface scattering in skin.
SKIN_WRAP = np.array([0.34, 0.17, 0.12], np.float32)[:, None, None]
CLOTH_WRAP = np.array([0.18, 0.14, 0.13], np.float32)[:, None, None]
KEY = np.float32(1.02)
SHADOW_SHRINK = 3
SHADOW_STEPS = 18


def light_direction(snapshot: Snapshot) -> Array:
    """Return the unit vector towards the key light: x right, y down, z to the camera."""
    az, el = np.radians(snapshot.light_azimuth_deg), np.radians(snapshot.light_elevation_deg)
    return np.array([np.sin(az) * np.cos(el), -np.sin(el), np.cos(az) * np.cos(el)], np.float32)


def cast_shadow(depth: Array, snapshot: Snapshot, scale: float) -> Array:
    """Return the share of the key light that reaches each canvas pixel, (3, H, W).

    Marches through the depth map towards the light, at low resolution. `depth` is in head units, `scale` pixels per
    unit. The edges are softest in red, as on skin.
    """
    small = cv2.resize(depth, None, fx=1 / SHADOW_SHRINK, fy=1 / SHADOW_SHRINK, interpolation=cv2.INTER_AREA)
    light = light_direction(snapshot)
    per_unit = scale / SHADOW_SHRINK
    blocked = np.zeros_like(small)
    reach = 1.15
    for i in range(1, SHADOW_STEPS + 1):
        t = reach * (i / SHADOW_STEPS) ** 1.4  # distance along the ray, head units
        move = np.array([[1, 0, t * light[0] * per_unit], [0, 1, t * light[1] * per_unit]], np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        there = cv2.warpAffine(small, move, small.shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
        over = there - (small + t * light[2])
        blocked = np.maximum(blocked, np.clip((over - 0.015) / (0.035 + 0.14 * t), 0, 1))
    lit = 1.0 - blocked
    soft = [cv2.GaussianBlur(lit, (0, 0), s * per_unit) for s in (0.055, 0.038, 0.034)]
    return np.stack([cv2.resize(s, depth.shape[::-1], interpolation=cv2.INTER_LINEAR) for s in soft])


def _normals(depth: Array, scale: float) -> tuple[Array, Array, Array]:
    height = depth * np.float32(scale)
    zx = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    zy = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
    inv = 1.0 / np.sqrt(zx * zx + zy * zy + 1.0)
    return -zx * inv, -zy * inv, inv


def shade_layer(layer: Layer, shadow: Array, snapshot: Snapshot, scale: float) -> Array:
    """Return linear RGB (3, h, w) of a layer under the key light, a weaker fill light and ambient light from above.

    Colours are planes, because NumPy is several times faster on them than on interleaved pixels.
    """
    nx, ny, nz = _normals(layer.depth, scale)
    light = light_direction(snapshot)
    ndl = nx * light[0] + ny * light[1] + nz * light[2]
    fill = np.clip(-0.6 * np.sign(light[0]) * nx + 0.1 * -ny + 0.75 * nz, 0, 1) * 0.20
    ambient = (snapshot.ambient * (0.80 - 0.14 * ny) + fill) * layer.ambient
    albedo = np.stack(cv2.split(layer.albedo))
    if layer.material == "hair":
        return _shade_hair(layer, albedo, shadow, ndl, ambient, (ny, nz), light)
    wrap = SKIN_WRAP if layer.material == "skin" else CLOTH_WRAP
    key = KEY * np.array([1 + snapshot.warmth, 1.0, 1 - snapshot.warmth], np.float32)[:, None, None]
    lit = albedo * (np.clip((ndl + wrap) / (1 + wrap), 0, 1) * shadow * key + ambient)
    half = light + np.array([0, 0, 1], np.float32)
    half /= np.linalg.norm(half)
    ndh = np.clip(nx * half[0] + ny * half[1] + nz * half[2], 0, 1)
    broad = ndh * ndh * ndh
    broad = broad * broad * broad  # 9th power; the sharp lobe is its 4th
    sharp = broad * broad
    sharp = sharp * sharp
    graze = 1 - nz
    graze = graze * graze * graze
    shine = layer.gloss * (0.17 * sharp + 0.085 * broad) * shadow[1] + 0.045 * graze * snapshot.ambient
    lit += shine
    if layer.glow is not None:
        lit += layer.glow * np.float32(0.85)
    return lit


def _shade_hair(
    layer: Layer, albedo: Array, shadow: Array, ndl: Array, ambient: Array, normal: tuple[Array, Array], light: Array
) -> Array:
    """Shade hair as strands along the shell, with the highlight in a band across them (Kajiya and Kay 1989)."""
    ny, nz = normal
    diffuse = np.clip((ndl + 0.35) / 1.35, 0, 1)
    half = light + np.array([0, 0, 1], np.float32)
    half /= np.linalg.norm(half)
    norm = 1.0 / np.sqrt(ny * ny + nz * nz + 1e-6)
    along = (nz * half[1] - ny * half[2]) * norm
    band = np.clip(1 - along * along, 0, 1)
    lit = albedo * (0.90 * diffuse * shadow[1] + 0.9 * ambient)
    broad = band * band * band
    broad = broad * broad
    sharp = broad * broad
    shine = (0.10 * sharp * sharp + 0.05 * broad) * layer.gloss * np.clip(ndl + 0.2, 0, 1) * shadow[1]
    tinted = 0.45 + 0.55 * albedo / (albedo[1] + np.float32(0.02))
    return lit + shine * tinted


def _tone_curve() -> NDArray[np.uint8]:
    """Return display values of linear light in steps of 1/1024 up to 4: a soft shoulder for highlights, then gamma."""
    x = np.arange(4096) / 1024.0
    knee = 0.62
    x = np.minimum(x, knee) + (1 - knee) * (1 - np.exp(-np.maximum(x - knee, 0) / (1 - knee)))
    return np.clip(np.power(x, 1 / 2.2) * 255 + 0.5, 0, 255).astype(np.uint8)


TONE_CURVE = _tone_curve()


def tone_map(picture: Array, snapshot: Snapshot) -> NDArray[np.uint8]:
    """Convert linear RGB planes (3, H, W) to RGB uint8 (H, W, 3) at the snapshot's exposure."""
    steps = np.clip(picture * np.float32(snapshot.exposure * 1024), 0, 4095).astype(np.uint16)
    return np.dstack([TONE_CURVE[plane] for plane in steps])
