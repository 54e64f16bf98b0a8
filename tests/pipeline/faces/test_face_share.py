"""The share of a picture that the face fills: crops of faces are told from photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from skimage.data import astronaut

from data_manifests.versions.store import Store
from pipeline.faces.face_share import box_share, measure_face_share, measure_table
from pipeline.photos.images import save_rgb
from pipeline.stage import IDENTITY
from tests.conftest import write_photos

pytestmark = pytest.mark.usefixtures("one_torch_thread")

HEAD = (slice(40, 200), slice(150, 300))  # rows and columns of the astronaut's head


def rows_of(pictures: list[np.ndarray], store: Store, folder: Path) -> pa.Table:
    """Return the rows of pictures that are in no version, as a plain folder has them."""
    store.set_root("here", folder)
    saved = [save_rgb(picture, folder, f"{i}.png") for i, picture in enumerate(pictures)]
    values = {"sample_id": [s.path for s in saved], "root": ["here"] * len(saved), "path": [s.path for s in saved]}
    values["sha256"] = [s.sha256 for s in saved]
    rest = {name: pa.nulls(len(saved), pa.string()) for name in IDENTITY if name not in values}
    return pa.table({**values, **rest})


def test_a_box_counts_where_it_covers_the_picture() -> None:
    assert box_share(np.array([10, 10, 60, 60]), (100, 100)) == pytest.approx(0.25)
    assert box_share(np.array([-50, -50, 150, 50]), (100, 100)) == pytest.approx(0.5)
    assert box_share(np.array([200, 200, 300, 300]), (100, 100)) == 0


def test_heads_are_crops_and_portraits_are_not(store: Store, tmp_path: Path) -> None:
    photo, wall = astronaut(), np.full((90, 80, 3), 99, np.uint8)
    portraits = measure_table(rows_of([photo, photo[:300, 60:400], wall], store, tmp_path / "a"), store)
    assert (portraits.are_crops, portraits.faces, portraits.pictures) == (False, 2, 3)
    heads = measure_table(rows_of([photo[HEAD], photo[50:190, 160:290]], store, tmp_path / "b"), store)
    assert heads.are_crops
    assert heads.text() == f"the face fills {100 * heads.median:.0f} % of the picture (median of 2)"
    assert heads.median > 0.35 > portraits.median


def test_pictures_without_any_face_are_crops_only_by_their_names(store: Store, tmp_path: Path) -> None:
    table = rows_of([np.full((90, 80, 3), 99, np.uint8)], store, tmp_path)
    assert not measure_table(table, store).are_crops
    assert measure_table(table, store, is_utkface=True).are_crops
    assert measure_table(table, store).text() == "no face was found in 1 pictures"


def test_known_boxes_are_used_and_no_picture_is_read(store: Store, tmp_path: Path) -> None:
    write_photos(store, tmp_path / "photos", 4, "drawn")
    manifest = store.read("drawn")
    box = pa.array([[0, 0, 48, 32]] * 3 + [[0, 0, 1, 1]], pa.list_(pa.float32(), 4))
    table = manifest.table
    for name, values in (("box_xyxy", box), ("faces", pa.array([1, 1, 1, 0], pa.int32()))):
        table = table.set_column(table.column_names.index(name), name, values)
    for file in (tmp_path / "photos").iterdir():
        file.unlink()
    store.write("drawn", table, "detect", parents=[manifest.version])
    share = measure_face_share(store.read("drawn"), store)
    assert (share.median, share.faces, share.pictures, share.are_crops) == (0.5, 3, 4, True)
