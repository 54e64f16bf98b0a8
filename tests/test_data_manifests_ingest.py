"""Ingest: the four layouts, and everything that can be wrong with a folder of photos."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from data_manifests.errors import ManifestError
from data_manifests.ingest import ingest_folder, ingest_profiles, ingest_table, ingest_utkface, probe
from data_manifests.ingest.photos import storable_path
from data_manifests.schema import conform, validate
from data_manifests.store import Store
from data_manifests.taxonomy import SHOTS, AgeCuts, class_names

CUTS = AgeCuts(30, 60)
PEOPLE = {"000001": ("female", "Asian", 45), "000002": ("male", "White", 61), "000003": ("Female", "", 29)}


def draw(path: Path, seed: int = 0, size: tuple[int, int] = (24, 32)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


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


def failed(table: pa.Table) -> list[dict]:
    return table.filter(pc.equal(table["status"], "failed")).to_pylist()


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


def test_companion_files_are_passed_over_and_strays_are_told(profiles: Path, caplog: pytest.LogCaptureFixture) -> None:
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
    assert rows[0]["class_id"] == 12 + 2  # what is known of it stays known
    assert table.num_rows == 21


def test_a_format_that_cannot_be_read_is_not_called_missing(profiles: Path) -> None:
    path = profiles / "images" / "000002_dir" / "normal.jpg"
    path.write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 50)
    path.rename(path.with_suffix(".heic"))
    assert "is not a picture in a known format" in failed(read_profiles(profiles))[0]["reason"]


def test_a_file_over_the_byte_limit_is_not_read(profiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "MAX_BYTES", 2**20)
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
def test_a_bad_row_fails_its_seven_shots_and_the_others_go_on(profiles: Path, line: str, reason: str) -> None:
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


def test_ages_written_as_floats_and_words_in_any_case_are_fine(profiles: Path) -> None:
    text = (profiles / "train.csv").read_text().replace("male,White,61", "M,White,61.0")
    (profiles / "train.csv").write_text(text)
    table = read_profiles(profiles)
    assert failed(table) == []
    assert table["age"].to_pylist()[7] == 61


def test_an_exported_person_column_is_the_person(profiles: Path) -> None:
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
        (b"id,gender,age,age,path\n1,male,3,3,a\n", "row 1: column 'age' stands there more than once"),
        (b"id,gender,age,path\n1,m\xe4le,3,a\n", "must be text in UTF-8: byte 22 is not"),
        (b'id,gender,age,path\n1,"male,3,a\n', "cannot be read: unexpected end of data"),
    ],
)
def test_a_train_csv_without_a_table_is_one_clear_error(profiles: Path, content: bytes | None, message: str) -> None:
    (profiles / "train.csv").unlink()
    if content is not None:
        (profiles / "train.csv").write_bytes(content)
    with pytest.raises(ManifestError) as error:
        read_profiles(profiles)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_size_is_as_shown_when_exif_turns_the_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "turned.jpg", exif=exif)
    found = probe.probe_file(tmp_path / "turned.jpg")
    assert (found.width_px, found.height_px, found.problem) == (30, 40, None)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), format_=st.sampled_from(["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"]))
def test_damaged_files_are_answered_never_raised(tmp_path: Path, data: st.DataObject, format_: str) -> None:
    sink = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(sink, format_)
    raw = bytearray(sink.getvalue())
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path / "x"
    file.write_bytes(raw[: data.draw(st.integers(1, len(raw)))])
    found = probe.probe_file(file)
    assert (found.problem is None) == (found.width_px is not None)


@settings(deadline=None)
@given(st.text() | st.from_regex(r"[a-c./\\: ]{0,12}", fullmatch=True))
def test_any_listed_path_becomes_one_that_a_manifest_can_hold(text: str) -> None:
    path, problem = storable_path(text)
    row = {name: [name] for name in ("sample_id", "source_id", "root", "person_id", "profile_id")}
    validate(conform(pa.table({**row, "path": [path], "status": ["failed"], "is_synthetic": [False]})))
    if problem is None:
        assert not os.path.isabs(path)
        assert ".." not in path.split("/")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(*[st.text(alphabet='ab19,.;"\n é/\\', max_size=6)] * 4), max_size=4))
def test_any_text_in_a_csv_gives_rows_or_one_clear_error(tmp_path: Path, cells: list[tuple[str, ...]]) -> None:
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


# -- kept probes ------------------------------------------------------------------------------------------------


def test_unchanged_files_are_not_read_twice_and_changed_ones_are(
    profiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache" / "photos.parquet"
    first = ingest_profiles(profiles, root_name="r", cuts=CUTS, cache=cache)
    read: list[str] = []

    def spy(path: Path) -> probe.Probe:
        read.append(path.name)
        return ORIGINAL(path)

    monkeypatch.setattr(probe, "probe_file", spy)
    assert ingest_profiles(profiles, root_name="r", cuts=CUTS, cache=cache).equals(first)
    assert read == []
    path = profiles / "images" / "000001_dir" / "mask1.png"
    about = path.stat()
    draw(path, seed=99)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))  # as a copying tool would leave it
    changed = ingest_profiles(profiles, root_name="r", cuts=CUTS, cache=cache)
    assert read == ["mask1.png"]
    assert pc.sum(pc.not_equal(changed["sha256"], first["sha256"])).as_py() == 1


ORIGINAL = probe.probe_file


def test_an_unchanged_folder_gives_the_same_version_again(profiles: Path, store: Store) -> None:
    versions = [store.write("faces", read_profiles(profiles), "ingest") for _ in range(2)]
    assert versions[0] == versions[1]


# -- table ------------------------------------------------------------------------------------------------------


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    source = tmp_path / "flat"
    for number in range(4):
        draw(source / "pics" / f"{number}.jpg", seed=number)
    return source


def read_table(source: Path, content: str, **options: Any) -> pa.Table:
    (source / "labels.csv").write_text(content, "utf8")
    table = ingest_table(source, root_name="r", cuts=CUTS, **options)
    validate(table)
    return table


def test_a_table_needs_only_paths(flat: Path) -> None:
    table = read_table(flat, "path\npics/0.jpg\npics/1.jpg\n")
    assert table["status"].to_pylist() == ["ok", "ok"]
    assert table["person_id"].to_pylist() == table["profile_id"].to_pylist() == ["pics/0.jpg", "pics/1.jpg"]
    assert table["mask"].to_pylist() == ["none", "none"]
    assert table["gender"].null_count == table["age"].null_count == table["class_id"].null_count == 2
    assert read_table(flat, "path\npics/0.jpg\n", mask=None)["mask"].null_count == 1


def test_a_table_with_its_own_names_and_words(flat: Path) -> None:
    table = read_table(
        flat,
        "\ufefffile;subject;sex;Age;wearing;camera\n\n0.jpg;anna;W;30;yes;K1\n 1.jpg ;ben;M;59;chin;\n",
        columns={"path": "file", "person_id": "subject", "gender": "sex", "age": "Age", "mask": "wearing"},
        words={("gender", "W"): "female", ("mask", "yes"): "worn", ("mask", "chin"): "incorrect"},
        images="pics",
    )
    assert table["path"].to_pylist() == ["pics/0.jpg", "pics/1.jpg"]
    assert table["person_id"].to_pylist() == ["anna", "ben"]
    assert table["class_id"].to_pylist() == [0 + 3 + 1, 6 + 0 + 1]
    assert table["x_camera"].to_pylist() == ["K1", None]
    assert table["status"].to_pylist() == ["ok", "ok"]


def test_a_shot_says_how_the_mask_is_worn(flat: Path) -> None:
    table = read_table(flat, "path,shot\npics/0.jpg,mask3\npics/1.jpg,Normal\npics/2.jpg,smile\n")
    assert table["mask"].to_pylist() == ["worn", "none", "none"]
    assert "shot must be one of {normal, mask1" in table["reason"].to_pylist()[2]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("pics/9.jpg,p,male,30", "file does not exist"),
        ("../secret.jpg,p,male,30", "path '../secret.jpg' leads out of the photo folder in row 3"),
        ("/etc/passwd,p,male,30", "path '/etc/passwd' leads out of the photo folder in row 3"),
        ("C:\\a.jpg,p,male,30", "leads out of the photo folder in row 3"),
        ("pics/0.jpg,p,male,30", "path 'pics/0.jpg' of row 3 stands in row 2 already"),
        ("./pics/../pics/0.jpg,p,male,30", "stands in row 2 already"),
        (",p,male,30", "path is empty in row 3"),
        ("pics/1.jpg,,male,30", "person_id is empty in row 3"),
        ("pics/1.jpg,p,x,30", "got 'x' in row 3"),
        ("pics/1.jpg,p,male,999999999999999999999", "age must be a whole number"),
        ("pics/1.jpg,p", "row 3 has 2 values, the header has 4"),
        ("pics,p,male,30", "is not a file"),
    ],
)
def test_a_bad_row_of_a_table_fails_and_the_good_one_stays(flat: Path, line: str, reason: str) -> None:
    table = read_table(flat, f"path,person_id,gender,age\npics/0.jpg,q,male,30\n{line}\n")
    assert table["status"].to_pylist() == ["ok", "failed"]
    assert reason in table["reason"].to_pylist()[1]


def test_an_empty_label_is_null_and_told(flat: Path) -> None:
    table = read_table(flat, "path,gender,age\npics/0.jpg,,44\n")
    assert table["status"].to_pylist() == ["ok"]
    assert table["reason"].to_pylist() == ["ingest: gender is empty in row 2"]


def test_windows_and_absolute_paths_within_the_folder_are_fine(flat: Path) -> None:
    table = read_table(flat, f"path\npics\\0.jpg\n{flat / 'pics' / '1.jpg'}\n")
    assert table["status"].to_pylist() == ["ok", "ok"]
    assert table["path"].to_pylist() == ["pics/0.jpg", "pics/1.jpg"]


def test_errors_about_the_table_itself(flat: Path) -> None:
    with pytest.raises(
        ManifestError, match=r"no column 'path' among \{file\}\. Say which one it is: --map path=COLUMN"
    ):
        read_table(flat, "file\na.jpg\n")
    with pytest.raises(ManifestError, match=r"no column 'photo' among \{path\}"):
        read_table(flat, "path\na.jpg\n", columns={"path": "photo"})
    with pytest.raises(ManifestError, match=r"field must be one of \{path, person_id.*Got 'sex' instead"):
        read_table(flat, "path\na.jpg\n", columns={"sex": "path"})
    (flat / "more.csv").write_text("path\n")
    with pytest.raises(ManifestError, match=r"must hold one CSV\. Got \{labels.csv, more.csv\} instead"):
        read_table(flat, "path\npics/0.jpg\n")
    assert read_table(flat, "path\npics/0.jpg\n", csv="labels.csv").num_rows == 1


# -- utkface ----------------------------------------------------------------------------------------------------


def test_utkface_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = ["26_0_2_20170104.jpg", "part2/61_1_0_20170104.jpg.chip.jpg"]
    bad = {
        "61_1_20170109.jpg": "name must be [age]_[gender]_[race]_[date], got '61_1_20170109.jpg'",
        "26_3_2_20170104.jpg": "gender must be 0 (male) or 1 (female), got '3'",
        "117_0_2_20170104.jpg": "age must be 0 to 116, got '117'",
        "x_0_2_20170104.jpg": "age must be a whole number of years, got 'x'",
    }
    for seed, name in enumerate([*good, *bad]):
        draw(tmp_path / name, seed)
    (tmp_path / "readme.txt").write_text("x")
    table = ingest_utkface(tmp_path, root_name="r", cuts=CUTS)
    validate(table)
    rows = {row["path"]: row for row in table.to_pylist()}
    assert [rows[name]["class_id"] for name in good] == [12 + 0 + 0, 12 + 3 + 2]
    assert [rows[name]["x_race"] for name in good] == ["2", "0"]
    assert [rows[name]["person_id"] for name in good] == good
    assert {name: rows[name]["reason"] for name in bad} == {name: f"ingest: {why}" for name, why in bad.items()}
    assert "ignored 1 files that are no pictures" in caplog.text


def test_an_empty_or_absent_folder_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="there is no photo in"):
        ingest_utkface(tmp_path, root_name="r", cuts=CUTS)
    with pytest.raises(ManifestError, match="does not exist"):
        ingest_folder(tmp_path / "absent", root_name="r", cuts=CUTS)


def test_file_names_that_are_not_utf8_or_hold_a_backslash_fail(tmp_path: Path) -> None:
    draw(tmp_path / "26_0_2_1.jpg")
    for name in (b"26_0_2_\xff.jpg", b"26_0_2_a\\b.jpg"):
        shutil.copy(tmp_path / "26_0_2_1.jpg", tmp_path / os.fsdecode(name))
    table = ingest_utkface(tmp_path, root_name="r", cuts=CUTS)
    validate(table)
    assert sorted(row["path"] for row in failed(table)) == ["26_0_2_%FF.jpg", "26_0_2_a%5Cb.jpg"]


# -- folder -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "folder",
    ["1", "01", "class_1", "worn male 30-59", "worn_male_30-59", "male/worn/30-59", "train/30-59/Worn,Male", "1/worn"],
)
def test_folder_names_that_say_the_same(tmp_path: Path, folder: str) -> None:
    draw(tmp_path / folder / "a.jpg")
    row = ingest_folder(tmp_path, root_name="r", cuts=CUTS).to_pylist()[0]
    assert (row["mask"], row["gender"], row["age"], row["age_class"], row["class_id"]) == ("worn", "male", None, 1, 1)
    assert row["status"] == "ok"


@pytest.mark.parametrize("cuts", [AgeCuts(), AgeCuts(45, 60)])
def test_every_class_name_and_id_is_understood(tmp_path: Path, cuts: AgeCuts) -> None:
    for number, name in enumerate(class_names(cuts)):
        draw(tmp_path / name / "a.png")
        draw(tmp_path / str(number) / "a.png")
    table = ingest_folder(tmp_path, root_name="r", cuts=cuts)
    found = {row["path"].split("/")[0]: row["class_id"] for row in table.to_pylist()}
    assert found == {name: n for n, name in enumerate(class_names(cuts))} | {str(n): n for n in range(18)}


def test_folders_with_some_labels_leave_the_rest_null(tmp_path: Path) -> None:
    draw(tmp_path / "incorrect" / "a.jpg")
    draw(tmp_path / "incorrect" / "none" / "b.jpg")
    draw(tmp_path / "holiday" / "c.jpg")
    table = ingest_folder(tmp_path, root_name="r", cuts=CUTS)
    validate(table)
    rows = {row["path"][-5:]: row for row in table.to_pylist()}
    assert (rows["a.jpg"]["mask"], rows["a.jpg"]["gender"], rows["a.jpg"]["class_id"]) == ("incorrect", None, None)
    assert rows["a.jpg"]["status"] == "ok"
    assert "two labels for mask: incorrect and none" in rows["b.jpg"]["reason"]
    assert "no folder on its way" in rows["c.jpg"]["reason"]
    shutil.rmtree(tmp_path / "incorrect")
    with pytest.raises(ManifestError, match=r"no folder of .* named after a label\. Found \{holiday\}"):
        ingest_folder(tmp_path, root_name="r", cuts=CUTS)


@pytest.mark.faces
def test_real_portraits(tmp_path: Path) -> None:
    if "FACES_DIR" not in os.environ:
        pytest.skip("FACES_DIR is not set")
    table = ingest_table(
        Path(os.environ["FACES_DIR"]), root_name="faces", cuts=AgeCuts(45, 60), columns={"path": "file"}
    )
    assert table.num_rows == 615
    assert table["status"].unique().to_pylist() == ["ok"]
    assert pc.count_distinct(table["person_id"]).as_py() == 591
