"""Every kind of file that people have, and every way in which one can be broken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_manifests.errors import StageError
from data_manifests.photo_files import formats
from pipeline.photos.images import load_rgb, save_rgb
from tests.conftest import draw_picture

PICTURE = draw_picture(5)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".jpg"])
def test_the_usual_types_load_alike(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a{suffix}"
    Image.fromarray(PICTURE).save(file)
    loaded = load_rgb(file)
    assert loaded.shape == PICTURE.shape
    assert loaded.dtype == np.uint8
    assert np.abs(loaded.astype(int) - PICTURE).mean() < 8


def test_exif_turns_the_picture_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    Image.fromarray(PICTURE).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(load_rgb(tmp_path / "a.png"), np.rot90(PICTURE, -1))


def test_grey_alpha_palette_and_sixteen_bits_become_rgb(tmp_path: Path) -> None:
    grey = PICTURE[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(load_rgb(tmp_path / "grey.png"), np.repeat(grey[..., None], 3, 2))
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    assert np.array_equal(load_rgb(tmp_path / "deep.png"), np.repeat(grey[..., None], 3, 2))
    clear = np.dstack([PICTURE, np.zeros_like(grey)])
    Image.fromarray(clear).save(tmp_path / "clear.png")
    assert (load_rgb(tmp_path / "clear.png") == 255).all()
    Image.fromarray(PICTURE).convert("P").save(tmp_path / "palette.gif")
    assert load_rgb(tmp_path / "palette.gif").shape == PICTURE.shape
    Image.fromarray(PICTURE).convert("CMYK").save(tmp_path / "print.jpg")
    assert load_rgb(tmp_path / "print.jpg").shape == PICTURE.shape


def test_broken_files_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.jpg"
    Image.fromarray(PICTURE).save(file, quality=95)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StageError, match=r"a\.jpg: cannot be decoded: (?i:.*truncated)"):
        load_rgb(file)
    file.write_bytes(b"hello")
    with pytest.raises(StageError, match=r"a\.jpg: is not a picture in a known format"):
        load_rgb(file)
    file.write_bytes(b"")
    with pytest.raises(StageError, match=r"a\.jpg: file is empty"):
        load_rgb(file)
    with pytest.raises(StageError, match=r"b\.jpg: file does not exist"):
        load_rgb(tmp_path / "b.jpg")
    file.write_bytes(whole)
    with pytest.raises(StageError, match="has changed since it was ingested"):
        load_rgb(file, sha256="0" * 64)
    monkeypatch.setattr(formats, "MAX_PIXELS", 100)
    with pytest.raises(StageError, match="48×64 px is over the limit of 0 million pixels"):
        load_rgb(file)


def test_saving_leaves_one_whole_file(tmp_path: Path) -> None:
    for name in ("a/b.png", "a/b.jpg"):
        saved = save_rgb(PICTURE, tmp_path, name)
        assert (saved.width_px, saved.height_px) == (48, 64)
        assert saved.bytes == (tmp_path / name).stat().st_size
        assert np.abs(load_rgb(tmp_path / name, saved.sha256).astype(int) - PICTURE).mean() < 2
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["b.jpg", "b.png"]


def test_a_large_jpeg_may_come_smaller_but_never_below_what_is_asked(tmp_path: Path) -> None:
    large = np.kron(draw_picture(5), np.ones((8, 8, 1), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(large).save(tmp_path / "a.jpg", quality=95, exif=exif)
    whole = load_rgb(tmp_path / "a.jpg")
    least = min(whole.shape[:2]) // 4 - 3
    small = load_rgb(tmp_path / "a.jpg", at_least_px=least)
    assert small.shape == (whole.shape[0] // 4, whole.shape[1] // 4, 3)  # an eighth would be shorter than `least`
    blocks = whole.reshape(small.shape[0], 4, small.shape[1], 4, 3).mean((1, 3))
    assert np.abs(small - blocks).mean() < 1
    Image.fromarray(large).save(tmp_path / "a.png")
    assert np.array_equal(load_rgb(tmp_path / "a.png", at_least_px=least), large)  # only JPEG can
