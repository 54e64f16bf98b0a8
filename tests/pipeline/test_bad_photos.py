"""The corpus of bad photos through `load_rgb`, the writer of images and the thumbnails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin

from data_manifests.errors import ManifestError, PhotoError
from data_manifests.versions import Store
from pipeline.photos import PhotoFile, load_rgb, save_rgb
from reporting.thumbnails import thumbnail, thumbnail_url
from tests.support.bad_photos import EPS, GREY, JPEG, KINDS, PIXELS, Kind, write_corpus


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_kind_is_read_or_refused_with_its_name(tmp_path: Path, kind: Kind) -> None:
    write_corpus(tmp_path / "photos", (kind,))
    photo = PhotoFile(tmp_path / "photos", kind.name)
    if kind.reason:
        with pytest.raises(PhotoError, match=rf"^{kind.name}: ") as error:
            load_rgb(photo)
        assert kind.reason in str(error.value)
        return
    picture = load_rgb(photo)
    assert (picture.dtype, picture.shape[2]) == (np.uint8, 3)
    if kind.name in ("7x40.jpg", "1x1.jpg"):
        return
    upright = np.rot90(PIXELS, -1) if kind.name.startswith("turned") else PIXELS
    assert picture.shape == upright.shape
    is_grey = kind.name in ("unit.tif", "float.tif", "twelve.tif", "twelve.png", "stated.tif", "sixteen.tif")
    expected = np.repeat(GREY[..., None], 3, axis=2) if is_grey or kind.name == "grey.jpg" else upright
    lossy = not kind.name.endswith((".tif", ".png", ".PNG"))
    assert np.abs(picture.astype(int) - expected).mean() < (20 if lossy else 2), kind.name


def test_no_program_is_started_for_a_drawing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *args, **_: started.append(args))
    for name in ("a.jpg", "a.eps"):
        (tmp_path / name).write_bytes(EPS)
        with pytest.raises(PhotoError, match="is not a picture in a known format"):
            load_rgb(tmp_path / name)
    assert started == []


@pytest.mark.parametrize("path", ["../../x.jpg", "/x.jpg", "a/../../x.jpg"])
def test_an_image_is_not_written_outside(tmp_path: Path, path: str) -> None:
    with pytest.raises(PhotoError, match="must be a relative path"):
        save_rgb(PIXELS, tmp_path / "a" / "b", path)
    assert list(tmp_path.rglob("*.jpg")) == []


@pytest.mark.parametrize("column", ["sample_id", "sha256"])
def test_a_thumbnail_stays_in_the_workspace(tmp_path: Path, column: str) -> None:
    store = Store(tmp_path / "a" / "b" / "ws")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "p.jpg").write_bytes(JPEG)
    store.set_root("photos", tmp_path / "photos")
    row = {"root": "photos", "path": "p.jpg", "sha256": None, "sample_id": "s"} | {column: "../../../../../../x"}
    if column == "sha256":
        with pytest.raises(PhotoError, match="has changed"):
            thumbnail(store, row, 40)
    else:
        assert thumbnail(store, row, 40).is_relative_to(store.workspace / "cache" / "thumbnails" / "40")
    written = [path for path in tmp_path.rglob("*.jpg") if path != tmp_path / "photos" / "p.jpg"]
    assert all(path.is_relative_to(store.workspace) for path in written)


def test_the_app_refuses_what_is_no_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "ws")
    kinds = write_corpus(tmp_path / "photos")
    store.set_root("photos", tmp_path / "photos")
    for name, kind in kinds.items():
        row = {"root": "photos", "path": name, "sha256": None, "sample_id": name}
        if kind.is_regular:
            continue
        assert thumbnail_url(store, row, 40, 40) is None
        with pytest.raises(ManifestError):
            thumbnail(store, row, 40)
