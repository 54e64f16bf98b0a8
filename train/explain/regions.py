"""Regions of a picture, from its manifest: face, hair, clothes and background.

face        the hull of the 68 landmarks with a forehead, including a mask over it; without landmarks the detector's box
background  the pixels painted by `preprocess background`: those of its colour connected to the border of the picture
clothes     the rest of the person below the chin: neck and clothes
hair        the rest of the person: hair, ears, hats

The painted pixels are those of the picture itself or, for a picture with its own background, those of the picture that
a later version made of it (by `parent_id`). Without either, everything outside the face counts as `background`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cv2
import numpy as np

from data_manifests.errors import ManifestError
from data_manifests.versions import Manifest, Store
from pipeline.photos import load_rgb
from train.data import prepare_picture
from train.engine import ancestors
from train.settings import DataSettings

REGIONS = ("face", "hair", "clothes", "background")
FOREHEAD = 0.5
"""Height of the forehead over the distance from brows to chin: the neoclassical canon divides the face into three equal
parts, from hairline to brows, from brows to the base of the nose, and from there to the chin."""
TOLERANCE = 6  # levels by which JPEG changes a painted pixel
MIN_PAINTED = 0.01  # share of the picture below which its background counts as not painted
_GEOMETRIC = ("box", "centre_crop")  # the steps of train/data/image_preparation.py that move pixels

Record = Mapping[str, Any]


class Regions(NamedTuple):
    """Shares of REGIONS in each pixel, uint8 (*size, 4), with the sum 255.

    Without a known background, `background` is everything around the face, and `hair` and `clothes` are 0.
    """

    shares: np.ndarray
    background_known: bool


@dataclass(frozen=True)
class RegionFinder:
    """A finder of regions in a manifest's pictures; `painted_rows` maps sample_id to the painted row."""

    store: Store
    settings: DataSettings
    colour_rgb: tuple[int, int, int] | None = None
    painted_rows: Mapping[str, Record] = field(default_factory=dict)

    def find(self, row: Record) -> Regions | None:
        """Return the regions of a row's picture as prepared for the network; None without a known face."""
        shape = row["height_px"], row["width_px"]
        face = face_mask(row["landmarks_xy"], row["box_xyxy"] if row["faces"] != 0 else None, shape)
        if face is None:
            return None
        painted = self._painted(row, shape)
        person = np.zeros_like(face) if painted is None else ~face & ~painted
        below = np.arange(shape[0])[:, None] > np.flatnonzero(face.any(1))[-1]
        layers = np.stack([face, person & ~below, person & below], -1).astype(np.uint8) * 255
        steps = {name: value for name, value in self.settings.prepare.items() if name in _GEOMETRIC}
        shares = prepare_picture(layers, steps, self.settings.size)
        rest = 255 - shares.sum(-1, keepdims=True).clip(0, 255)
        return Regions(np.concatenate([shares, rest], -1).astype(np.uint8), painted is not None)

    def _painted(self, row: Record, shape: tuple[int, int]) -> np.ndarray | None:
        source = self.painted_rows.get(row["sample_id"])
        if self.colour_rgb is None or source is None:
            return None
        picture = load_rgb(self.store.photo(source["root"], source["path"]))
        if picture.shape[:2] != shape:
            raise ManifestError(
                f"{source['path']} is {picture.shape[1]}×{picture.shape[0]} px, but its source "
                f"{shape[1]}×{shape[0]}. Give --regions a version that was painted but not cropped again."
            )
        found = painted_mask(picture, self.colour_rgb)
        return found if found.mean() >= MIN_PAINTED else None


def find_regions(store: Store, manifest: Manifest, settings: DataSettings, painted: Manifest | None) -> RegionFinder:
    """Return a finder for a manifest's pictures; `painted` is a version of them with painted backgrounds.

    Raises ManifestError if `painted` has no painted background, or none of the manifest's pictures.
    """
    colour = painted_colour(store, painted or manifest)
    if painted is None:
        rows = manifest.table.to_pylist() if colour else []
        return RegionFinder(store, settings, colour, {row["sample_id"]: row for row in rows})
    ref = painted.version.ref
    if colour is None:
        raise ManifestError(f"{ref} has no painted background. Make one with: facecurate preprocess background REF")
    samples = set(manifest.table.column("sample_id").to_pylist())
    rows = {row["parent_id"]: row for row in painted.table.to_pylist() if row["parent_id"] in samples}
    if not rows:
        raise ManifestError(
            f"no picture of {ref} was made from one of {manifest.version.ref} (parent_id). Choose another --regions."
        )
    return RegionFinder(store, settings, colour, rows)


def painted_colour(store: Store, manifest: Manifest) -> tuple[int, int, int] | None:
    """Return the background colour painted in a manifest's history; None if there is none."""
    for version in ancestors(store, manifest.version):
        stage = version.parameters.get("background")
        if isinstance(stage, Mapping) and "colour_rgb" in stage:
            red, green, blue = stage["colour_rgb"]
            return red, green, blue
    return None


def face_mask(landmarks: Any, box: Any, shape: tuple[int, int]) -> np.ndarray | None:
    """Return the face as bool (H, W), from landmarks (68, 2) or flat (136,), else from the box; None if it is empty."""
    mask = np.zeros(shape, np.uint8)
    if landmarks is not None:
        points = np.asarray(landmarks, np.float32).reshape(-1, 2)
        brows, chin = points[17:27], points[8]
        forehead = brows + FOREHEAD * (brows.mean(0) - chin)
        hull = cv2.convexHull(np.concatenate([points, forehead]))
        cv2.fillConvexPoly(mask, hull.round().astype(np.int32), 1)
    elif box is not None:
        x0, y0, x1, y1 = np.clip(np.asarray(box).round(), 0, [*shape[::-1]] * 2).astype(int)
        mask[y0:y1, x0:x1] = 1
    return mask.astype(bool) if mask.any() else None


def painted_mask(picture: np.ndarray, colour_rgb: tuple[int, int, int]) -> np.ndarray:
    """Return the pixels of a colour connected to the border, bool (H, W), of a picture (H, W, 3).

    Connection to the border excludes clothes of that colour, such as a grey tie.
    """
    near = (np.abs(picture.astype(np.int16) - np.array(colour_rgb)) <= TOLERANCE).all(-1).astype(np.uint8)
    near = cv2.morphologyEx(near, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, part = cv2.connectedComponents(near)
    border = np.unique(np.concatenate([part[0], part[-1], part[:, 0], part[:, -1]]))
    return np.isin(part, border[border > 0])
