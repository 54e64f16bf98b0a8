"""Names of files in several Unicode forms, over-long ones, and links, in every layout that lists photos."""

import logging
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from data_manifests.ingest import LAYOUTS
from data_manifests.ingest.detection import detect_layout
from data_manifests.ingest.photo_rows import find_on_disk, walk_images
from data_manifests.taxonomy import SHOTS, AgeCuts

NFC, NFD = (unicodedata.normalize(form, "한국 é") for form in ("NFC", "NFD"))


def _photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), "red").save(path)


def _read(layout: str, source: Path):
    return LAYOUTS[layout](source, root_name="faces", cuts=AgeCuts())


@pytest.mark.parametrize(("on_disk", "listed"), [(NFC, NFD), (NFD, NFC), (f"{NFC}/{NFD}", f"{NFD}/{NFC}")])
@pytest.mark.parametrize("layout", ["table", "imagefolder"])
def test_lists_match_names_in_another_unicode_form(layout, on_disk, listed, tmp_path):
    _photo(tmp_path / f"{on_disk}.png")
    column, name = {"table": ("path", "list.csv"), "imagefolder": ("file_name", "metadata.csv")}[layout]
    (tmp_path / name).write_text(f"{column},gender\n{listed}.png,male\n", "utf8")
    table = _read(layout, tmp_path)
    assert table["status"].to_pylist() == ["ok"]
    assert table["path"].to_pylist() == [f"{on_disk}.png"]
    assert detect_layout(tmp_path).layout == layout


@pytest.mark.parametrize(("on_disk", "listed"), [(NFC, NFD), (NFD, NFC)])
def test_profiles_match_folders_in_another_unicode_form(on_disk, listed, tmp_path, caplog):
    for shot in SHOTS:
        _photo(tmp_path / "images" / on_disk / f"{shot}.png")
    (tmp_path / "train.csv").write_text(f"id,gender,age,path\n1,male,30,{listed}\n", "utf8")
    assert _read("profiles", tmp_path)["status"].to_pylist() == ["ok"] * 7
    assert "does not list" not in caplog.text
    assert detect_layout(tmp_path).layout == "profiles"


def test_an_over_long_name_fails_its_row_only(tmp_path):
    _photo(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text(
        f"path,gender\na.png,male\n{'한' * 2000}.png,male\n{'b' * 300}.png,male\n", "utf8"
    )
    assert _read("table", tmp_path)["status"].to_pylist() == ["ok", "failed", "failed"]
    assert find_on_disk(tmp_path, "absent é.png") == "absent é.png"


def test_linked_folders_are_said_to_be_left_out(tmp_path, caplog):
    _photo(tmp_path / "faces" / "a.png")
    _photo(tmp_path / "elsewhere" / "b.png")
    (tmp_path / "faces" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "faces" / "cycle").symlink_to(tmp_path / "faces")
    paths, left_out = walk_images(tmp_path / "faces")
    assert paths == ["a.png"]
    assert left_out == ["2 linked folders, such as 'cycle': ingest the folder that a link leads to"]
    with caplog.at_level(logging.WARNING):
        assert _read("plain", tmp_path / "faces").num_rows == 1
    assert "ignored 2 linked folders" in caplog.text
