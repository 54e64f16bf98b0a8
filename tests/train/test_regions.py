"""Regions of a picture: face, hair, clothes, painted background."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from data_manifests.errors import ManifestError
from data_manifests.versions.store import Store
from pipeline.photos.images import encode, save_rgb
from train.explain.regions import REGIONS, RegionFinder, face_mask, painted_mask
from train.settings import DataSettings

GREY = (127, 127, 127)
BOX = [6.0, 8.0, 26.0, 28.0]


def landmarks(left: float, top: float, width: float, height: float) -> np.ndarray:
    """68 points (68, 2) on a face whose brows are at `top` and whose chin is at top + height."""
    points = np.zeros((68, 2), np.float32)
    turn = np.linspace(np.pi, 0, 17)
    points[:17] = np.stack([left + width / 2 * (1 + np.cos(turn)), top + height * np.sin(turn)], 1)
    points[17:27] = np.stack([np.linspace(left, left + width, 10), np.full(10, top)], 1)
    points[27:] = [left + width / 2, top + height / 2]
    return points


def test_a_face_has_a_forehead() -> None:
    mask = face_mask(landmarks(20, 40, 40, 30), None, (100, 80))
    assert mask is not None
    rows = np.flatnonzero(mask.any(1))
    assert (rows[0], rows[-1]) == (25, 70)  # half of brows to chin above the brows
    assert mask[50, 40]
    assert not mask[50, 10]
    assert face_mask(None, [10.2, 20, 30, 200], (100, 80)).sum() == 20 * 80  # type: ignore[union-attr]
    assert face_mask(None, None, (100, 80)) is None


def test_only_painted_pixels_connected_to_the_border_are_background() -> None:
    picture = np.full((256, 256, 3), GREY, np.uint8)
    cv2.circle(picture, (128, 128), 80, (200, 150, 120), -1)
    cv2.rectangle(picture, (120, 150), (136, 190), GREY, -1)  # a grey tie
    saved = cv2.imdecode(np.frombuffer(encode(picture, ".jpg"), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    mask = painted_mask(saved, GREY)
    assert mask[2, 2]
    assert not mask[170, 128]
    assert mask.mean() == pytest.approx(1 - np.pi * 80**2 / 256**2, abs=0.03)  # JPEG blurs the edge by two pixels
    assert not painted_mask(np.full((20, 20, 3), 90, np.uint8), GREY).any()


def row_of(store: Store, picture: np.ndarray, name: str, **more: object) -> dict:
    saved = save_rgb(picture, store.workspace, f"images/{name}.png")
    size = {"width_px": saved.width_px, "height_px": saved.height_px}
    geometry = {"landmarks_xy": None, "box_xyxy": None, "faces": None}
    return {"sample_id": name, "root": "workspace", "path": saved.path, **size, **geometry, **more}


def test_regions_are_separate_and_follow_the_crop(store: Store) -> None:
    picture = np.full((100, 80, 3), GREY, np.uint8)
    picture[10:, 10:70] = (180, 140, 110)  # the person
    row = row_of(store, picture, "one", landmarks_xy=landmarks(20, 40, 40, 30).ravel().tolist())
    settings = DataSettings.model_validate({"size": [100, 80], "prepare": {"clahe": 2}})
    found = RegionFinder(store, settings, GREY, {"one": row}).find(row)
    assert found is not None
    assert found.background_known
    assert (found.shares.astype(int).sum(-1) == 255).all()
    at = {"face": (50, 40), "hair": (12, 15), "clothes": (90, 40), "background": (50, 3)}
    for index, region in enumerate(REGIONS):
        assert found.shares[at[region]].tolist() == [255 * (place == index) for place in range(4)], region
    cut = settings.model_copy(update={"size": (50, 30), "prepare": {"box": [10.0, 0.0, 70.0, 100.0]}})
    seen = RegionFinder(store, cut, GREY, {"one": row}).find(row)
    assert seen is not None
    assert seen.shares.shape == (50, 30, 4)
    assert seen.shares[6:, :, 3].sum() == 0  # the background at the sides is cropped
    assert seen.shares[..., 0].mean() == pytest.approx(found.shares[..., 0].mean() * 80 / 60, rel=0.05)


def test_unknown_regions_are_not_guessed(store: Store) -> None:
    settings = DataSettings(size=(32, 32))
    picture = np.zeros((32, 32, 3), np.uint8)
    row = row_of(store, picture, "one", box_xyxy=BOX, faces=1)
    unpainted = RegionFinder(store, settings).find(row)
    assert unpainted is not None
    assert not unpainted.background_known
    assert unpainted.shares[..., 1:3].sum() == 0
    assert RegionFinder(store, settings).find(row | {"faces": 0}) is None  # the box is not a detected face
    kept = RegionFinder(store, settings, GREY, {"one": row}).find(row)  # the background of this picture was not painted
    assert kept is not None
    assert not kept.background_known
    other = row_of(store, np.zeros((16, 32, 3), np.uint8), "other")
    with pytest.raises(ManifestError, match="is 32×16 px, but its source 32×32"):
        RegionFinder(store, settings, GREY, {"one": other}).find(row)
