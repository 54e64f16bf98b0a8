"""Ingest of the layout profiles, defects of files and CSVs, and the cache."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from data_manifests.errors import ManifestError
from data_manifests.ingest import image_info, ingest_profiles
from data_manifests.ingest.photo_rows import storable_path
from data_manifests.photo_files import PhotoFile, formats
from data_manifests.schema import conform
from data_manifests.taxonomy import SHOTS, AgeCuts
from data_manifests.versions.store import Store
from data_manifests.versions.validation import validate
from tests.support.photo_folders import draw, failed

CUTS = AgeCuts(30, 60)
PEOPLE = {"000001": ("female", "Asian", 45), "000002": ("male", "White", 61), "000003": ("Female", "", 29)}


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    """Three people with seven shots each, in several formats."""
    source = tmp_path / "photos"
    lines = ["id,gender,race,age,path"]
    for number, (name, (gender, race, age)) in enumerate(PEOPLE.items()):
        lines.append(f"{name},{gender},{race},{age},{name}_dir")
        for place, shot in enumerate(SHOTS):
            suffix = (".jpg", ".png", ".JPEG", ".webp")[place % 4]
            draw(source / "images" / f"{name}_dir" / (shot + suffix), seed=10 * number + place)
    (source / "train.csv").write_text("\n".join(lines) + "\n")
    return source


def read_profiles(source: Path) -> pa.Table:
    table = ingest_profiles(source, root_name="r", cuts=CUTS)
    validate(table)
    return table


# -- profiles ---------------------------------------------------------------------------------------------------


def test_profiles_become_seven_rows_each(profiles: Path) -> None:
    table = read_profiles(profiles)
    assert table["status"].to_pylist() == ["ok"] * 21
    assert table["person_id"].to_pylist() == [name for name in PEOPLE for _ in SHOTS]
    assert table["profile_id"].to_pylist() == table["person_id"].to_pylist()
    assert table["mask"].to_pylist()[:7] == ["none", *["worn"] * 5, "incorrect"]
    assert table["gender"].to_pylist()[::7] == ["female", "male", "female"]
    # class = mask * 6 + gender * 3 + age class
    assert table["class_id"].to_pylist()[:7] == [12 + 3 + 1, *[3 + 1] * 5, 6 + 3 + 1]
    assert table["x_race"].to_pylist()[::7] == ["Asian", "White", None]
    assert set(table["width_px"].to_pylist()) == {24}
    assert table["source_id"].equals(table["sample_id"])
    assert table["parent_id"].null_count == 21


def test_companion_files_are_skipped_and_other_files_are_logged(
    profiles: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = profiles / "images" / "000001_dir"
    (folder / "._normal.jpg").write_bytes(b"\0\5\x16\7 a macOS companion")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "Thumbs.db").write_bytes(b"x")
    read_profiles(profiles)
    assert caplog.text == ""
    (folder / "notes.txt").write_text("x")
    draw(folder / "mask6.jpg")
    draw(profiles / "images" / "000009_dir" / "normal.jpg")
    assert read_profiles(profiles).num_rows == 21
    assert "ignored 3 files or folders" in caplog.text
    assert "000001_dir/mask6.jpg" in caplog.text


def huge_png(path: Path) -> None:
    Image.new("1", (9000, 8000)).save(path)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def link_out(path: Path) -> None:
    outside = path.parents[3] / "outside.jpg"
    draw(outside)
    path.unlink()
    path.symlink_to(outside)


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


FILE_PROBLEMS: list[tuple[Callable[[Path], object], str]] = [
    (lambda path: path.unlink(), "shot normal is missing"),
    (lambda path: path.write_bytes(b""), "file is empty"),
    (cut_short, "cannot be decoded: image file is truncated"),
    (lambda path: path.write_text("no picture"), "is not a picture in a known format"),
    (huge_png, "9000×8000 px is over the limit of 64 million pixels"),
    (link_out, "leads out of the photo folder through a link"),
    (as_folder, "is not a file"),
    (as_pipe, "is not a file"),
]


@pytest.mark.parametrize(("spoil", "reason"), FILE_PROBLEMS)
def test_a_bad_file_is_one_failed_row(profiles: Path, spoil: Callable[[Path], object], reason: str) -> None:
    spoil(profiles / "images" / "000002_dir" / "normal.jpg")
    rows = failed(table := read_profiles(profiles))
    assert [(row["person_id"], row["shot"]) for row in rows] == [("000002", "normal")]
    assert rows[0]["reason"].startswith("ingest: ")
    assert reason in rows[0]["reason"]
    assert rows[0]["class_id"] == 12 + 2  # the labels are kept
    assert table.num_rows == 21


def test_an_unreadable_format_is_not_reported_as_missing(profiles: Path) -> None:
    path = profiles / "images" / "000002_dir" / "normal.jpg"
    path.write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 50)
    path.rename(path.with_suffix(".heic"))
    assert "is not a picture in a known format" in failed(read_profiles(profiles))[0]["reason"]


def test_a_file_over_the_byte_limit_is_not_read(profiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MAX_BYTES", 2**20)
    with (profiles / "images" / "000002_dir" / "normal.jpg").open("r+b") as file:
        file.truncate(2**20 + 1)
    row = failed(read_profiles(profiles))[0]
    assert "the limit is 1" in row["reason"]
    assert row["sha256"] is None


def test_two_files_for_one_shot_both_fail(profiles: Path) -> None:
    draw(profiles / "images" / "000001_dir" / "normal.png", seed=77)
    rows = failed(read_profiles(profiles))
    assert [row["path"][-10:] for row in rows] == ["normal.jpg", "normal.png"]
    assert all("2 files for one shot: normal.jpg, normal.png" in row["reason"] for row in rows)


CSV_PROBLEMS = [
    ("000004,robot,Asian,33,000004_dir", "gender must be one of {male, female, m, f}, got 'robot' in row 5"),
    ("000004,male,Asian,117,000004_dir", "age must be 0 to 116, got '117' in row 5"),
    ("000004,male,Asian,-1,000004_dir", "age must be 0 to 116, got '-1' in row 5"),
    ("000004,male,Asian,old,000004_dir", "age must be a whole number of years, got 'old' in row 5"),
    ("000004,male,Asian,33.5,000004_dir", "age must be a whole number of years, got '33.5' in row 5"),
    ("000004,male,Asian,,000004_dir", "age must be a whole number of years, got '' in row 5"),
    ("000001,male,Asian,33,000004_dir", "id '000001' of row 5 stands in row 2 already"),
    ("000004,male,Asian,33,000001_dir", "path '000001_dir' of row 5 stands in row 2 already"),
    ("000004,male,Asian,33,nowhere", "folder images/nowhere does not exist"),
    ("000004,male,Asian,33,../../secret", "leads out of the photo folder in row 5"),
    ("000004,male,Asian,33,", "path is empty in row 5"),
    (",male,Asian,33,000004_dir", "id is empty in row 5"),
    ("000004,male,33,000004_dir", "row 5 has 4 values, the header has 5"),
    ("000004,male,Asian,33,000004_dir,more", "row 5 has 6 values, the header has 5"),
]


@pytest.mark.parametrize(("line", "reason"), CSV_PROBLEMS)
def test_a_bad_row_fails_its_seven_shots_only(profiles: Path, line: str, reason: str) -> None:
    shutil.copytree(profiles / "images" / "000001_dir", profiles / "images" / "000004_dir")
    (profiles.parent / "secret").mkdir()
    with (profiles / "train.csv").open("a") as file:
        file.write(line + "\n")
    table = read_profiles(profiles)
    rows = failed(table)
    assert len(rows) == 7
    assert table.num_rows == 28
    assert all(reason in row["reason"] for row in rows)
    if "robot" in line:
        assert rows[0]["gender"] is None
        assert rows[0]["class_id"] is None
        assert rows[0]["age"] == 33


def test_ages_as_floats_and_words_in_any_case_are_accepted(profiles: Path) -> None:
    text = (profiles / "train.csv").read_text().replace("male,White,61", "M,White,61.0")
    (profiles / "train.csv").write_text(text)
    table = read_profiles(profiles)
    assert failed(table) == []
    assert table["age"].to_pylist()[7] == 61


def test_a_person_id_column_sets_the_person(profiles: Path) -> None:
    lines = (profiles / "train.csv").read_text().split()
    lines = [lines[0] + ",person_id", *(line + ",someone" for line in lines[1:])]
    (profiles / "train.csv").write_text("\n".join(lines))
    table = read_profiles(profiles)
    assert table["person_id"].unique().to_pylist() == ["someone"]
    assert table["profile_id"].unique().to_pylist() == list(PEOPLE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "must have a train.csv"),
        (b"", "must have a header and at least one row. Got 0 rows"),
        (b"id,gender,race,age,path\n", "Got 1 rows instead"),
        (b"id,gender,race,years,path\n1,male,x,3,a\n", "row 1: no column 'age' among {id, gender, race, years, path}"),
        (b"id,gender,age,age,path\n1,male,3,3,a\n", "row 1: column names must be unique. 'age' repeats"),
        (b"id,gender,age,path\n1,m\xe4le,3,a\n", "must be UTF-8 text. Byte 22, in line 2, is not."),
        (b'id,gender,age,"path\n1,male,3,a\n', "no readable header: row 1, line 1: unexpected end of data"),
    ],
)
def test_a_train_csv_without_a_table_is_an_error(profiles: Path, content: bytes | None, message: str) -> None:
    (profiles / "train.csv").unlink()
    if content is not None:
        (profiles / "train.csv").write_bytes(content)
    with pytest.raises(ManifestError) as error:
        read_profiles(profiles)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_size_is_as_displayed_under_exif_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "turned.jpg", exif=exif)
    found = image_info.read_image_info(PhotoFile(tmp_path, "turned.jpg"))
    assert (found.width_px, found.height_px, found.problem) == (30, 40, None)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), format_=st.sampled_from(["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"]))
def test_damaged_files_are_reported_never_raised(tmp_path: Path, data: st.DataObject, format_: str) -> None:
    sink = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(sink, format_)
    raw = bytearray(sink.getvalue())
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path / "x"
    file.write_bytes(raw[: data.draw(st.integers(1, len(raw)))])
    found = image_info.read_image_info(PhotoFile(tmp_path, file.name))
    assert (found.problem is None) == (found.width_px is not None)


@pytest.mark.slow
@settings(deadline=None)
@given(st.text() | st.from_regex(r"[a-c./\\: ]{0,12}", fullmatch=True))
def test_any_listed_path_becomes_valid_in_a_manifest(text: str) -> None:
    path, problem = storable_path(text)
    row = {name: [name] for name in ("sample_id", "source_id", "root", "person_id", "profile_id")}
    validate(conform(pa.table({**row, "path": [path], "status": ["failed"], "is_synthetic": [False]})))
    if problem is None:
        assert not os.path.isabs(path)
        assert ".." not in path.split("/")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(*[st.text(alphabet='ab19,.;"\n é/\\', max_size=6)] * 4), max_size=4))
def test_any_text_in_a_csv_gives_rows_or_a_one_line_error(tmp_path: Path, cells: list[tuple[str, ...]]) -> None:
    source = tmp_path / "any"
    source.mkdir(exist_ok=True)
    lines = ["id,gender,age,path", *(",".join(row) for row in cells)]
    (source / "train.csv").write_text("\n".join(lines), "utf8")
    error = ""
    try:
        assert read_profiles(source)["status"].unique().to_pylist() == ["failed"]
    except ManifestError as problem:
        error = str(problem)
    assert "\n" not in error


# -- the cache --------------------------------------------------------------------------------------------------


def test_unchanged_files_are_not_read_twice_and_changed_ones_are(
    profiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache" / "photos.parquet"
    first = ingest_profiles(profiles, root_name="r", cuts=CUTS, cache=cache)
    read: list[str] = []

    def spy(photo: PhotoFile) -> image_info.ImageInfo:
        read.append(photo.name)
        return ORIGINAL(photo)

    monkeypatch.setattr(image_info, "read_image_info", spy)
    assert ingest_profiles(profiles, root_name="r", cuts=CUTS, cache=cache).equals(first)
    assert read == []
    path = profiles / "images" / "000001_dir" / "mask1.png"
    about = path.stat()
    draw(path, seed=99)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))  # as copying tools do
    changed = ingest_profiles(profiles, root_name="r", cuts=CUTS, cache=cache)
    assert read == ["mask1.png"]
    assert pc.sum(pc.not_equal(changed["sha256"], first["sha256"])).as_py() == 1


ORIGINAL = image_info.read_image_info


def test_an_unchanged_folder_gives_the_same_version_again(profiles: Path, store: Store) -> None:
    versions = [store.write("faces", read_profiles(profiles), "ingest") for _ in range(2)]
    assert versions[0] == versions[1]
