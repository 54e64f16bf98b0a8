"""Ingest of the layouts table, utkface and folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from data_manifests.errors import ManifestError
from data_manifests.ingest import ingest_folder, ingest_table, ingest_utkface
from data_manifests.taxonomy import AgeCuts, class_names
from data_manifests.versions.validation import validate
from tests.support.photo_folders import draw, failed

CUTS = AgeCuts(30, 60)


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


def test_a_table_requires_only_paths(flat: Path) -> None:
    table = read_table(flat, "path\npics/0.jpg\npics/1.jpg\n")
    assert table["status"].to_pylist() == ["ok", "ok"]
    assert table["person_id"].to_pylist() == table["profile_id"].to_pylist() == ["pics/0.jpg", "pics/1.jpg"]
    assert table["mask"].null_count == table["gender"].null_count == table["age"].null_count == 2
    assert table["class_id"].null_count == table["split"].null_count == 2
    assert read_table(flat, "path\npics/0.jpg\n", mask="none")["mask"].to_pylist() == ["none"]


def test_a_table_with_mapped_columns_and_values(flat: Path) -> None:
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


def test_the_mask_follows_from_the_shot(flat: Path) -> None:
    table = read_table(flat, "path,shot\npics/0.jpg,mask3\npics/1.jpg,Normal\npics/2.jpg,smile\n")
    assert table["mask"].to_pylist() == ["worn", "none", None]
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


def test_an_empty_label_is_null_with_a_remark(flat: Path) -> None:
    table = read_table(flat, "path,gender,age\npics/0.jpg,,44\n")
    assert table["status"].to_pylist() == ["ok"]
    assert table["reason"].to_pylist() == ["ingest: gender is empty in row 2"]


def test_age_classes_from_a_column_of_ranges(flat: Path) -> None:
    table = read_table(flat, "path,age_class,age\npics/0.jpg,20-29,\npics/1.jpg,more than 70,33\npics/2.jpg,20-40,\n")
    assert table["age_class"].to_pylist() == [0, 1, None]
    assert table["status"].to_pylist() == ["ok"] * 3
    remark = "ages 20-40 are in more than one of the classes <30, 30-59, >=60 in row 4"
    assert table["reason"].to_pylist()[2] == f"ingest: age is empty in row 4; ingest: {remark}"
    table = read_table(flat, "path,age_class\npics/0.jpg,2\npics/1.jpg,0\n")
    assert table["x_age_class"].to_pylist() == ["2", "0"]
    assert table["age_class"].null_count == 2


def test_several_csvs_of_one_data_set(flat: Path) -> None:
    (flat / "val.csv").write_text("path,gender\npics/1.jpg,male\npics/0.jpg,female\n")
    table = read_table(flat, "path,gender\npics/0.jpg,female\n", csv=["labels.csv", "val.csv"])
    assert table["split"].to_pylist() == [None] * 3  # one split is no division
    assert table["reason"].to_pylist()[2] == (
        "ingest: path 'pics/0.jpg' of row 3 of val.csv stands in row 2 of labels.csv already"
    )
    (flat / "train.csv").write_text("path,gender\npics/0.jpg,male\n")
    assert read_table(flat, "path\n", csv=["train.csv", "val.csv"])["split"].to_pylist() == ["train", "val", "val"]
    with pytest.raises(ManifestError, match=r"CSVs must have the same columns\. 'val\.csv' differs from 'labels\.csv'"):
        read_table(flat, "path,age\npics/0.jpg,3\n", csv=["labels.csv", "val.csv"])


def test_words_for_unknown_and_other_words(flat: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = read_table(flat, "path,mask,gender\npics/0.jpg,worn,NaN\npics/1.jpg,on,N/A\n")
    assert table["status"].to_pylist() == ["ok", "failed"]
    assert table["gender"].null_count == 2
    assert "column 'mask' has words that are no mask: 'on' (1)." in caplog.text
    assert "--value mask:on=worn" in caplog.text


def test_windows_and_absolute_paths_inside_the_folder_are_accepted(flat: Path) -> None:
    table = read_table(flat, f"path\npics\\0.jpg\n{flat / 'pics' / '1.jpg'}\n")
    assert table["status"].to_pylist() == ["ok", "ok"]
    assert table["path"].to_pylist() == ["pics/0.jpg", "pics/1.jpg"]


def test_errors_about_the_table_itself(flat: Path) -> None:
    with pytest.raises(
        ManifestError, match=r"no column 'path' among \{file\}\. Name the column of the paths: --map path=COLUMN"
    ):
        read_table(flat, "file\na.jpg\n")
    with pytest.raises(ManifestError, match=r"no column 'path' among \{n, file\}\. .*: --map path=file$"):
        read_table(flat, "n,file\n1,pics/1.jpg\n")
    with pytest.raises(ManifestError, match=r"no column 'photo' among \{path\}"):
        read_table(flat, "path\na.jpg\n", columns={"path": "photo"})
    with pytest.raises(ManifestError, match=r"field must be one of \{path, person_id.*Got 'sex' instead"):
        read_table(flat, "path\na.jpg\n", columns={"sex": "path"})
    with pytest.raises(
        ManifestError, match=r"no column 'gendr' among \{path, gender\}\. Name another: --map gender=gender$"
    ):
        read_table(flat, "path,gender\na.jpg,male\n", columns={"gender": "gendr"})
    with pytest.raises(ManifestError, match=r"^--value mask:on=wron: mask must be one of \{worn, incorrect, none\}"):
        read_table(flat, "path,mask\na.jpg,on\n", words={("mask", "on"): "wron"})
    (flat / "more.csv").write_text("path\n")
    with pytest.raises(ManifestError, match=r"must contain one CSV\. Got \{labels.csv, more.csv\} instead"):
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
    assert ingest_utkface(tmp_path, root_name="r", cuts=CUTS)["mask"].null_count == 6
    table = ingest_utkface(tmp_path, root_name="r", cuts=CUTS, mask="none")
    validate(table)
    rows = {row["path"]: row for row in table.to_pylist()}
    assert [rows[name]["class_id"] for name in good] == [12 + 0 + 0, 12 + 3 + 2]
    assert [rows[name]["x_race"] for name in good] == ["2", "0"]
    assert [rows[name]["person_id"] for name in good] == good
    assert {name: rows[name]["reason"] for name in bad} == {name: f"ingest: {why}" for name, why in bad.items()}
    assert "ignored 1 files that are not images" in caplog.text


def test_an_empty_or_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="contains no photo"):
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
def test_equivalent_folder_names(tmp_path: Path, folder: str) -> None:
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
    with pytest.raises(ManifestError, match=r"a folder of .* must be named after a label: .* Got \{holiday\} instead"):
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
