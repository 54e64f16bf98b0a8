"""The one way to open and decode a photo: nothing outside, nothing that hangs, and the right verdict on each kind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from data_manifests.errors import PhotoError
from data_manifests.export import export
from data_manifests.ingest import detect_layout, ingest_imagefolder, ingest_plain, ingest_profiles, ingest_table
from data_manifests.ingest.image_info import read_image_info
from data_manifests.inspect import verify
from data_manifests.photo_files import (
    PhotoFile,
    check_relative,
    file_key,
    formats,
    list_files,
    open_photo,
    photo_sha256,
    read_photo,
)
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import Store, write_atomic
from tests.support.bad_photos import JPEG, KINDS, LONG_NAME, NOT_UTF8, PIXELS, SPECIAL, Kind, write_corpus


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_kind_gets_its_verdict(tmp_path: Path, kind: Kind) -> None:
    write_corpus(tmp_path / "photos", (kind,))
    info = read_image_info(PhotoFile(tmp_path / "photos", kind.name))
    if kind.reason:
        assert kind.reason in (info.problem or "")
        assert (info.width_px, info.height_px) == (None, None)
        assert (info.sha256 is None) == (not kind.is_regular or kind.name == "empty.jpg")
    else:
        assert info.problem is None
        assert bool(kind.remark) == bool(info.remark)
        assert kind.remark in info.remark


@pytest.mark.parametrize("name", ["turned.jpg", "turned.tif", "turned.avif"])
def test_a_turned_photo_has_its_displayed_size(tmp_path: Path, name: str) -> None:
    write_corpus(tmp_path / "photos", tuple(kind for kind in KINDS if kind.name == name))
    info = read_image_info(PhotoFile(tmp_path / "photos", name))
    assert (info.width_px, info.height_px) == PIXELS.shape[:2]


@pytest.mark.parametrize("path", ["/etc/passwd", "../out.jpg", "a/../../out.jpg", "..", "a\\..\\..\\out.jpg"])
def test_a_path_out_of_the_root_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "out.jpg").write_bytes(JPEG)
    with pytest.raises(PhotoError, match="leads out of the photo folder") as error:
        open_photo(tmp_path / "root", path)
    assert error.value.kind == "outside"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a" * 300 + ".jpg", "unreadable"),
        ("a/" * 3000 + "b.jpg", "unreadable"),
        ("a\0.jpg", "unreadable"),
        ("\ud800.jpg", "unreadable"),
        ("folder.jpg", "unreadable"),
        ("file.jpg/b.jpg", "missing"),
        ("none.jpg", "missing"),
    ],
)
def test_any_name_that_cannot_be_opened_is_a_reason(tmp_path: Path, path: str, kind: str) -> None:
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "file.jpg").write_bytes(JPEG)
    with pytest.raises(PhotoError) as error:
        read_photo(PhotoFile(tmp_path, path))
    assert error.value.kind == kind
    assert "\n" not in str(error.value)


def test_a_file_over_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jpg").write_bytes(JPEG)
    monkeypatch.setattr(formats, "MAX_BYTES", len(JPEG) - 1)
    for read in (read_photo, photo_sha256):
        with pytest.raises(PhotoError, match="the limit is 0"):
            read(PhotoFile(tmp_path, "a.jpg"))


def test_ingest_verify_and_export_keep_a_row_of_each(tmp_path: Path) -> None:
    store, photos = Store(tmp_path / "ws"), tmp_path / "photos"
    kinds = write_corpus(photos)
    (photos / LONG_NAME).write_bytes(JPEG)
    with open(os.fsencode(photos) + b"/" + NOT_UTF8, "wb") as file:
        file.write(JPEG)
    table = ingest_plain(photos, root_name="photos", cuts=AgeCuts())
    rows = {row["path"]: row for row in table.to_pylist()}
    assert set(rows) == {*kinds, LONG_NAME, "gr%FC%DFe.jpg"}
    for name, kind in kinds.items():
        assert rows[name]["status"] == ("failed" if kind.reason else "ok"), name
        assert (kind.reason or kind.remark) in (rows[name]["reason"] or "")
    assert rows[LONG_NAME]["status"] == "ok"
    store.set_root("photos", photos)
    store.write("faces", table, "ingest")
    assert verify(store, "faces").problems.num_rows == 0
    for name in ("plain.jpg", LONG_NAME, "7x40.jpg", "1x1.jpg"):
        (photos / name).unlink()
    (photos / "plain.jpg").mkdir()  # a photo that became a folder
    os.mkfifo(photos / LONG_NAME)
    (photos / "7x40.jpg").symlink_to("/dev/zero")
    found = {row["path"]: row["problem"] for row in verify(store, "faces").problems.to_pylist()}
    assert found == {
        "plain.jpg": "unreadable", LONG_NAME: "unreadable", "7x40.jpg": "outside", "1x1.jpg": "missing",
        "link.jpg": "unreadable",
    }  # fmt: skip
    assert export(store, "faces", "csv", tmp_path / "csv").written == table.num_rows


@pytest.mark.parametrize("long", ["a" * 300, "a/" * 3000 + "a"])
def test_one_overlong_path_in_a_list_is_one_failed_row(tmp_path: Path, long: str) -> None:
    (tmp_path / "images" / "x").mkdir(parents=True)
    for name in ("a.jpg", "images/x/normal.jpg"):
        (tmp_path / name).write_bytes(JPEG)
    (tmp_path / "list.csv").write_text(f"file_name,gender\na.jpg,male\n{long}.jpg,male\n")
    detect_layout(tmp_path)
    table = ingest_table(tmp_path, root_name="r", cuts=AgeCuts(), csv="list.csv", columns={"path": "file_name"})
    (tmp_path / "list.csv").rename(tmp_path / "metadata.csv")
    for rows in (table, ingest_imagefolder(tmp_path, root_name="r", cuts=AgeCuts())):
        assert rows["status"].to_pylist() == ["ok", "failed"]
        assert "file cannot be read: File name too long" in rows["reason"][1].as_py()
    (tmp_path / "train.csv").write_text(f"id,gender,age,path\n1,male,3,x\n2,male,3,{long}\n")
    table = ingest_profiles(tmp_path, root_name="r", cuts=AgeCuts())
    assert table["status"].to_pylist() == ["ok"] + ["failed"] * 13


# -- folders ----------------------------------------------------------------------------------------------------------
def test_a_listing_has_every_entry(tmp_path: Path) -> None:
    kinds = write_corpus(tmp_path / "photos", SPECIAL)
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    (tmp_path / "photos" / ".hidden.jpg").write_bytes(JPEG)
    (tmp_path / "photos" / "linked").symlink_to(tmp_path)
    os.close(os.open(os.fsencode(tmp_path / "photos") + b"/" + NOT_UTF8, os.O_CREAT))
    found = list_files(tmp_path / "photos")
    assert found.pictures == sorted(kinds)
    assert {name: reason.split(" (")[0] for name, reason in found.left_out.items()} == {
        "gr\\udcfc\\udcdfe.jpg": "the file name is not text in UTF-8",
        "linked": "a linked folder is not followed",
        "notes.txt": "not an image format that is read",
    }


# -- writing ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["../../x.jpg", "/other/x.jpg", "a/../x.jpg", "C:/x.jpg", "a\0.jpg", "", "..\\x.jpg"])
def test_a_name_that_leads_out_is_not_written(tmp_path: Path, path: str) -> None:
    with pytest.raises(PhotoError, match="must be a relative path"):
        check_relative(tmp_path, path)


def test_an_id_never_chooses_a_file_name(tmp_path: Path) -> None:
    assert file_key("a" * 64, "x") == "a" * 64
    keys = [file_key(sha256, name) for sha256 in (None, "", "../../x", "A" * 64) for name in ("../../x", "s1")]
    assert all(len(key) == 64 and set(key) <= set("0123456789abcdef") for key in keys)
    assert len(set(keys)) == 6  # "" is as good as none


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    for name in (LONG_NAME, "ä" * 127):
        write_atomic(tmp_path / name, b"x")
        assert [path.name for path in tmp_path.iterdir()] == [name]
        (tmp_path / name).unlink()
