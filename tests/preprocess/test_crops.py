"""Crops at the border of a photo, pictures that are crops already, and what the background step makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.data import astronaut

from data_manifests.versions.store import Store
from pipeline.photos.images import load_rgb, save_rgb
from pipeline.step import Outcome
from preprocess.backends import grabcut
from preprocess.choices import margin_lines
from preprocess.run import run_all, run_one
from preprocess.settings import BackgroundSettings, CropSettings, PreprocessSettings
from preprocess.stages import geometry
from preprocess.stages.background import background_step, photo_alpha
from preprocess.stages.crop import MAX_REPEATED_SHARE, crop_step, window
from tests.conftest import write_photos

pytestmark = pytest.mark.usefixtures("one_torch_thread")

HEAD = astronaut()[40:200, 150:300]
GREY = np.array([127, 127, 127])
SIZES = st.integers(60, 400)


def cropped(image: np.ndarray, box: list[float], **settings: Any) -> tuple[Outcome, np.ndarray]:
    """Return the outcome of the step `crop` and its picture."""
    step = crop_step(CropSettings(when="always", **settings))
    outcome = step.make(**step.params)({"box_xyxy": box, "points_xy": None, "landmarks_xy": None}, image)
    assert outcome.picture is not None
    return outcome, outcome.picture


# the window --------------------------------------------------------------------------------------------------------
@given(SIZES, SIZES, st.floats(0, 1), st.floats(0, 1), st.floats(0.1, 1), st.floats(-0.5, 0.5))
def test_a_margin_shrinks_until_the_crop_fits_and_never_below_half(
    width: int, height: int, x: float, y: float, share: float, roll: float
) -> None:
    side = share * min(width, height)
    low = np.array([x * (width - side), y * (height - side)])
    box = np.concatenate([low, low + side])
    transform, (crop_w, crop_h), corners = window(box, (width, height), 0.4, (128, 128), roll)
    face = geometry.move_box(box, transform)
    margin = (crop_w - (face[2] - face[0])) / 2 / (face[2] - face[0])
    assert 0.2 - 1e-3 <= margin <= 0.4 + 1e-3
    outside = geometry.outside_share(corners, (crop_w, crop_h))
    if margin > 0.2 + 1e-3:
        assert outside <= MAX_REPEATED_SHARE
    if margin < 0.4 - 1e-3:
        wide, _ = geometry.crop_transform(box, 0.4, (128, 128), roll)
        assert geometry.outside_share(geometry.photo_corners((width, height), wide), (128, 128)) > MAX_REPEATED_SHARE


def test_the_share_outside_is_counted_in_pixels() -> None:
    image = np.full((200, 100, 3), 255, np.uint8)
    outcome, picture = cropped(image, [30, 30, 70, 70], margin_share=0.9, size_wh=None, border="black")
    assert outcome.columns["outside_share"] == pytest.approx((picture == 0).all(axis=2).mean(), abs=0.01)
    assert 0.05 < outcome.columns["outside_share"] <= MAX_REPEATED_SHARE


def test_a_narrow_strip_repeats_the_edge_and_a_wide_one_is_grey() -> None:
    image = np.random.default_rng(0).integers(0, 100, (200, 200, 3)).astype(np.uint8)
    near, picture = cropped(image, [60, 14, 140, 94], size_wh=None)  # 18 rows above the photo
    assert 0 < near.columns["outside_share"] <= MAX_REPEATED_SHARE
    assert picture.max() < 100
    assert near.columns["photo_corners_xy"][0][1] > 0
    over, picture = cropped(image, [-10, -10, 190, 190], size_wh=None)
    assert over.columns["outside_share"] > MAX_REPEATED_SHARE
    assert (picture[:10] == GREY).all()
    inside, _ = cropped(image, [80, 80, 120, 120])
    assert (inside.columns["outside_share"], inside.columns["photo_corners_xy"]) == (0, None)


# crops already -----------------------------------------------------------------------------------------------------
def test_a_crop_is_kept_and_a_large_one_is_reduced_with_its_geometry() -> None:
    step = crop_step(CropSettings(), is_cropped=True)
    assert step.params["when"] == "never"
    keep = step.make(**step.params)
    record = {"box_xyxy": [20, 30, 120, 140], "points_xy": None, "landmarks_xy": [float(i) for i in range(136)]}
    assert keep(record, HEAD).picture is None
    large = np.zeros((512, 400, 3), np.uint8)
    large[200:204, 100:104] = 255
    outcome = keep({**record, "box_xyxy": [100, 200, 103, 203]}, large)
    assert outcome.picture is not None
    assert outcome.picture.shape == (256, 200, 3)
    x0, y0, x1, y1 = outcome.columns["box_xyxy"]
    rows, columns = np.nonzero(outcome.picture[..., 0] > 100)
    assert (columns.mean(), rows.mean()) == (
        pytest.approx((x0 + x1) / 2, abs=0.3),
        pytest.approx((y0 + y1) / 2, abs=0.3),
    )


def rows_of(store: Store, folder: Path, pictures: list[np.ndarray]) -> str:
    """Write pictures as version 2 of the data set `set`."""
    write_photos(store, folder, len(pictures), "set")
    saved = [save_rgb(picture, folder, f"p{i:03d}.png") for i, picture in enumerate(pictures)]
    table = store.read("set").table
    for name in ("sha256", "width_px", "height_px"):
        values = pa.array([getattr(one, name) for one in saved], table.schema.field(name).type)
        table = table.set_column(table.column_names.index(name), name, values)
    return store.write("set", table, "edit", parents=[store.version("set")]).ref


def test_auto_measures_the_set_and_records_what_it_has_decided(store: Store, tmp_path: Path) -> None:
    photo = astronaut()
    ref = rows_of(store, tmp_path / "photos", [HEAD, photo[45:195, 155:295]])
    lines: list[str] = []
    settings = PreprocessSettings(executor="serial", background=BackgroundSettings(backend="none"))
    (version,) = run_all(ref, store, settings, lines.append)
    assert any("photos are crops already and are not cropped again; crop.when=always" in line for line in lines)
    assert "background: kept as it is (background.backend=none)" in lines
    assert version.parameters["crop"]["when"] == "never"
    before, after = (store.read(each).table.to_pylist() for each in (ref, version.ref))
    assert [row["path"] for row in after] == [row["path"] for row in before]
    assert all(row["landmarks_xy"] and row["outside_share"] == 0 for row in after)
    again = settings.model_copy(update={"crop": CropSettings(when="always")})
    (cut,) = run_all(ref, store, again, lines.append)
    assert cut.parameters["crop"]["when"] == "always"
    assert {row["width_px"] for row in store.read(cut.ref).table.to_pylist()} == {256}


def test_many_crops_beyond_their_photo_are_a_warning_with_the_setting(store: Store, tmp_path: Path) -> None:
    ref = rows_of(store, tmp_path / "photos", [HEAD, HEAD[:, 5:], astronaut()])
    ref = run_one("detect", ref, store, PreprocessSettings(executor="serial"), lambda line: None).version.ref
    lines: list[str] = []
    settings = PreprocessSettings(executor="serial", crop=CropSettings(when="always", margin_share=0.8))
    table = store.read(ref).table
    position = table.column_names.index("landmarks_xy")
    flat = pa.array([[50.0] * 136] * 3, table.schema.field("landmarks_xy").type)
    ref = store.write("set", table.set_column(position, "landmarks_xy", flat), "edit", parents=[store.version(ref)]).ref
    done = run_one("crop", ref, store, settings, lines.append)
    assert any(line.startswith("crop: 2 of 3 have a smaller margin than 0.8, 0.40 in the median") for line in lines)
    (warning,) = (line for line in lines if "warning" in line)
    assert "2 of 3" in warning
    assert warning.endswith("such as crop.margin_share=0.4")
    assert margin_lines(store.read(done.version.ref).table, CropSettings(when="never")) == []


# the background of a crop ------------------------------------------------------------------------------------------
def test_beyond_the_photo_there_is_only_background() -> None:
    """The remover sees the photo's part alone, with the box in its pixels; a repeated edge is never kept."""
    seen: list[tuple[tuple[int, ...], list[float]]] = []

    def all_person(image: np.ndarray, box_xyxy: np.ndarray | None) -> np.ndarray:
        assert box_xyxy is not None
        seen.append((image.shape, box_xyxy.tolist()))
        return np.ones(image.shape[:2], np.float32)

    corners = np.array([[-0.5, 9.5], [79.5, 9.5], [79.5, 99.5], [-0.5, 99.5]], np.float32)
    image = np.zeros((100, 100, 3), np.uint8)
    alpha, inside = photo_alpha(all_person, image, np.array([20, 30, 60, 80], np.float32), corners)
    ((shape, box),) = seen
    assert abs(shape[0] - 90) <= 1
    assert abs(shape[1] - 80) <= 1
    assert box == pytest.approx([20, 20, 60, 70], abs=1)
    assert alpha[:9].max() == alpha[:, 81:].max() == 0
    assert alpha[11:, :79].min() == 1
    assert (inside == (alpha > 0)).all()


def test_grabcut_finds_the_background_of_a_head_that_fills_its_picture() -> None:
    plain = HEAD.copy()
    alpha = grabcut.make()(plain, np.array([30, 25, 115, 135], np.float32))
    assert alpha[40:110, 50:95].mean() > 0.9
    assert 0.3 < alpha.mean() < 0.95


def test_auto_takes_the_network_where_its_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    assert background_step(BackgroundSettings()).params["backend"] == "grabcut"
    small = BackgroundSettings(params={"model": "u2netp"})
    assert background_step(small).params == {"backend": "grabcut", "params": {}, "colour_rgb": [127, 127, 127]}
    (tmp_path / "u2netp.onnx").write_bytes(b"weights")
    step = background_step(small)
    assert (step.params["backend"], step.params["params"]) == ("rembg", {"model": "u2netp"})
    assert step.version.startswith("rembg@")
    assert background_step(BackgroundSettings()).params["backend"] == "grabcut"  # u2net is still absent


def test_streaks_of_a_repeated_edge_do_not_survive(store: Store, tmp_path: Path) -> None:
    photo = astronaut()[30:330, 100:400]  # the hair is close to the upper border
    ref = rows_of(store, tmp_path / "photos", [photo])
    settings = PreprocessSettings(executor="serial", background=BackgroundSettings(backend="grabcut"))
    cut, removed = run_all(ref, store, settings, lambda line: None)
    (row,) = store.read(cut.ref).table.to_pylist()
    assert row["outside_share"] > 0
    top = int(np.floor(row["photo_corners_xy"][1])) - 1
    assert top > 3
    (after,) = store.read(removed.ref).table.to_pylist()
    strip = load_rgb(store.file_of(after["root"], after["path"]))[:top]
    assert np.abs(strip.astype(int) - GREY).max() < 12
