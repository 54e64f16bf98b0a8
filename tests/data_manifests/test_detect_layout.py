"""Detection of the layout of a folder, a CSV or a JSON file, and of the columns of a list."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_manifests.errors import ManifestError
from data_manifests.ingest import LAYOUTS, DetectedLayout, detect_layout
from data_manifests.ingest.guess_columns import guess_columns
from data_manifests.ingest.label_words import labels_in_name, split_of_file
from data_manifests.taxonomy import SHOTS, AgeCuts
from tests.support.photo_folders import coco, draw, label_studio_task, write_json, write_lines

CUTS = AgeCuts()
BAD_NAME = "name must be [age]_[gender]_[race]_[date], got '61_1_20170109.jpg'"


def draw_all(folder: Path, *paths: str) -> None:
    for number, path in enumerate(paths):
        draw(folder / path, number)


def competition(folder: Path) -> None:
    draw_all(folder, *(f"images/p{n}/{shot}.jpg" for n in range(2) for shot in SHOTS))
    write_lines(folder / "train.csv", "id,gender,race,age,path", "1,male,Asian,31,p0", "2,female,Asian,62,p1")


def table(folder: Path) -> None:
    draw_all(folder, *(f"pics/{n}.jpg" for n in range(4)))
    rows = [f"{n}.jpg;s{n // 2};{'mf'[n % 2]};{20 + 20 * n};{('with_mask', 'without_mask')[n % 2]}" for n in range(4)]
    write_lines(folder / "labels.csv", "file;subject;sex;Age;label", *rows)


def faces_by_split(folder: Path) -> None:
    for split, number in (("train", 0), ("val", 1)):
        draw(folder / split / "1.jpg", number)
        write_lines(folder / f"label_{split}.csv", "file,age,gender", f"{split}/1.jpg,20-29,Female")


def utkface(folder: Path) -> None:
    draw_all(folder, *(f"{20 + n}_{n % 2}_0_2017010{n}.jpg.chip.jpg" for n in range(5)), "61_1_20170109.jpg")


def classes(folder: Path) -> None:
    draw_all(folder, "train/with_mask/a.jpg", "train/mask_weared_incorrect/b.jpg", "Test/without_mask/c.jpg")


def bare_mask(folder: Path) -> None:
    draw_all(folder, "mask/a.jpg", "no-mask/b.jpg")


def ages(folder: Path) -> None:
    draw_all(folder, "0-17/woman/a.jpg", "under30/man/b.jpg", "60+/man/c.jpg")


def imagefolder(folder: Path) -> None:
    draw_all(folder, "train/0.jpg", "test/0.jpg")
    for split in ("train", "test"):
        write_lines(folder / split / "metadata.csv", "file_name,gender", "0.jpg,female")


def coco_file(folder: Path) -> None:
    draw_all(folder, "images/0.jpg")
    write_json(folder / "annotations" / "all.json", coco({"0.jpg": [("with_mask", {})]}, ["with_mask"]))


def label_studio(folder: Path) -> None:
    draw_all(folder, "0.jpg")
    write_json(folder / "export.json", [label_studio_task(1, "/data/upload/1/00000000-0.jpg", {"gender": "Male"})])


def people(folder: Path) -> None:
    draw_all(folder, "Ada_Lovelace/Ada_Lovelace_0001.jpg", "한국인/한국인_0001.JPG", "한국인/한국인_0002.JPG")


def numbered_people(folder: Path) -> None:
    draw_all(folder, *(f"{person}/{n}.jpg" for person in range(6) for n in range(3)))


def loose(folder: Path) -> None:
    draw_all(folder, "DSC 1.JPG", "holiday 2024/여름 사진.Png", "part1/x.webp")


CASES: list[tuple[Callable[[Path], None], str, dict[str, Any], str]] = [
    (competition, "profiles", {}, "2 of 2 folders images/<path> exist"),
    (
        table,
        "table",
        {
            "csv": "labels.csv",
            "columns": {"path": "file", "person_id": "subject", "mask": "label", "gender": "sex", "age": "Age"},
            "words": {("mask", "with_mask"): "worn", ("mask", "without_mask"): "none"},
            "images": "pics",
        },
        "labels.csv has the columns file (path), subject (person_id), sex (gender), Age (age), label (mask); 4 of 4",
    ),
    (
        faces_by_split,
        "table",
        {
            "csv": ("label_train.csv", "label_val.csv"),
            "columns": {"path": "file", "age": "", "age_class": "age"},
        },
        "label_train.csv and label_val.csv have the columns file (path), age (age_class), gender; 2 of 2 paths exist",
    ),
    (utkface, "utkface", {}, "5 of 6 file names are [age]_[gender]_[race]_[date]"),
    (classes, "folder", {}, "with_mask (1), without_mask (1); split by folder: test 1, train 2"),
    (bare_mask, "folder", {}, "mask (1), no-mask (1)"),
    (ages, "folder", {}, "3 of 3 photos are in folders named after labels: man (2), 0-17 (1), 60+ (1)"),
    (imagefolder, "imagefolder", {}, "test/metadata.csv and 1 more has gender; 2 of 2 photos exist"),
    (coco_file, "coco", {}, "annotations/all.json has mask; 1 of 1 photos exist"),
    (label_studio, "label_studio", {}, "export.json has gender; 1 of 1 photos exist"),
    (people, "plain", {"person": "folder"}, "each of the 2 folders is taken as one person"),
    (numbered_people, "plain", {"person": "folder"}, "each of the 6 folders is taken as one person"),
    (loose, "plain", {}, "3 photos, taken without labels"),
]


@pytest.mark.parametrize(("make", "layout", "arguments", "evidence"), CASES)
def test_a_folder_is_detected_and_can_be_ingested(
    tmp_path: Path, make: Callable[[Path], None], layout: str, arguments: dict[str, Any], evidence: str
) -> None:
    source = tmp_path / "my photos"
    make(source)
    found = detect_layout(source)
    assert (found.root, found.layout, found.arguments) == (source, layout, arguments)
    assert evidence in found.evidence
    assert found.command.startswith(f"facecurate ingest '{source}' --layout {layout}")
    assert detect_layout(source) == found
    rows = LAYOUTS[layout](found.root, root_name="r", cuts=CUTS, **found.arguments)
    failed = [row["reason"] for row in rows.to_pylist() if row["status"] == "failed"]
    assert failed == (["ingest: " + BAD_NAME] if make is utkface else [])
    has_labels = any(rows[name].null_count < len(rows) for name in ("mask", "gender", "age_class"))
    assert has_labels == found.has_labels == (layout != "plain")


def test_what_else_fits_and_what_is_not_used(tmp_path: Path) -> None:
    imagefolder(tmp_path)
    write_lines(tmp_path / "prices.csv", "item,price", "apple,3")
    write_lines(tmp_path / "broken.csv", "only a header")
    write_json(tmp_path / "config.json", {"a": 1})
    found = detect_layout(tmp_path)
    assert [one.layout for one in found.others] == ["table", "plain"]
    (tmp_path / "train" / "metadata.csv").unlink()
    (tmp_path / "test" / "metadata.csv").unlink()
    notes = "; ".join(detect_layout(tmp_path).notes)
    assert "prices.csv is not used: no column has the names of photos" in notes
    assert "its first row is item='apple', price='3'" in notes
    assert "broken.csv is not used: CSV 'broken.csv' must have a header and at least one row" in notes
    assert "config.json" not in notes


def test_a_list_that_is_mostly_of_other_photos_is_not_used(tmp_path: Path) -> None:
    draw_all(tmp_path, "1.jpg", "2.jpg")
    write_lines(tmp_path / "labels.csv", "file,gender", "1.jpg,male", *(f"x{n}.jpg,female" for n in range(3)))
    found = detect_layout(tmp_path)
    assert found.layout == "plain"
    assert found.notes == (f"labels.csv is not used: 1 of its 4 photos exist below {str(tmp_path)!r}",)


def test_photos_that_the_list_lacks_are_noted(tmp_path: Path) -> None:
    draw_all(tmp_path, "1.jpg", "2.jpg")
    write_lines(tmp_path / "labels.csv", "file,gender", "1.jpg,male")
    assert detect_layout(tmp_path).notes[0] == "1 photos of the folder are not in labels.csv"


def test_files_in_formats_that_are_not_read_are_noted(tmp_path: Path) -> None:
    draw_all(tmp_path, "images/1.jpg")
    write_lines(tmp_path / "annotations" / "1.xml", "<annotation/>")
    assert detect_layout(tmp_path).notes == (
        "not read: 1 × .xml; labels are read from CSV, TSV, metadata.jsonl, COCO and Label Studio files",
    )


def test_a_list_beside_the_folder_is_noted(tmp_path: Path) -> None:
    draw_all(tmp_path / "images", "1.jpg", "2.jpg")
    write_lines(tmp_path / "labels.csv", "file,gender", "images/1.jpg,male", "images/2.jpg,female")
    (note,) = detect_layout(tmp_path / "images").notes
    csv = tmp_path / "labels.csv"
    assert note == f"labels.csv beside the folder lists its photos; to read it: facecurate ingest {csv}"
    assert detect_layout(csv).root == tmp_path


@pytest.mark.parametrize(
    ("listed", "images"),
    [
        ("/content/drive/My Drive/set/train/{}.jpg", None),
        ("C:\\data\\set\\train\\{}.jpg", "train"),
        ("my set/train/{}.jpg", ".."),
        ("./train/{}.jpg", None),
    ],
)
def test_paths_of_another_machine_or_from_above_are_found(tmp_path: Path, listed: str, images: str | None) -> None:
    source = tmp_path / "my set"
    draw_all(source, "train/1.jpg", "train/2.jpg", "val/3.jpg")
    lines = [f"{listed.format(1)},male", f"{listed.format(2)},female"]
    if images is None:
        lines.append(f"{listed.format(3).replace('train', 'val')},female")
    write_lines(source / "labels.csv", "file,gender", *lines)
    found = detect_layout(source)
    assert (found.layout, found.arguments.get("images")) == ("table", images)
    rows = LAYOUTS["table"](source, root_name="r", cuts=CUTS, **found.arguments)
    assert rows["path"].to_pylist() == ["train/1.jpg", "train/2.jpg", "val/3.jpg"][: len(lines)]
    assert set(rows["status"].to_pylist()) == {"ok"}


def test_names_without_suffix_are_found(tmp_path: Path) -> None:
    draw_all(tmp_path, "pics/001.JPG", "pics/002.png")
    write_lines(tmp_path / "labels.csv", "years,image_id", "37,001", "61,002", "20,003")
    found = detect_layout(tmp_path)
    assert found.arguments["columns"] == {"path": "image_id", "age": "years"}
    rows = LAYOUTS["table"](tmp_path, root_name="r", cuts=CUTS, **found.arguments).to_pylist()
    assert [(row["path"], row["age"]) for row in rows[:2]] == [("pics/001.JPG", 37), ("pics/002.png", 61)]
    assert rows[2]["reason"] == "ingest: file does not exist"


def test_a_list_is_detected_by_its_own_path(tmp_path: Path) -> None:
    table(tmp_path / "a")
    write_lines(tmp_path / "a" / "lists" / "other.tsv", "name\tmale", "pics/0.jpg\t1", "pics/1.jpg\t0")
    found = detect_layout(tmp_path / "a" / "lists" / "other.tsv")
    assert (found.root, found.arguments["csv"]) == (tmp_path / "a", "lists/other.tsv")
    assert found.arguments["words"] == {("gender", "1"): "male", ("gender", "0"): "female"}
    assert detect_layout(tmp_path / "a" / "labels.csv").arguments["images"] == "pics"
    coco_file(tmp_path / "b")
    found = detect_layout(tmp_path / "b" / "annotations" / "all.json")
    assert (found.root, found.layout) == (tmp_path / "b", "coco")
    assert found.arguments == {"annotations": "annotations/all.json"}
    competition(tmp_path / "c")
    assert detect_layout(tmp_path / "c" / "train.csv").layout == "profiles"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.csv",
            "file,age\nx.jpg,3\n",
            r"a\.csv is not used: no column has the names of photos .*facecurate ingest FOLDER",
        ),
        ("a.csv", "file\n", r"must have a header and at least one row"),
        ("a.json", '{"a": 1}', r"a\.json is neither COCO nor an export of Label Studio"),
        ("a.json", "{", r"annotation file .*a\.json' is not JSON"),
        ("a.txt", "x", r"must be a folder, a CSV, TSV or JSON file"),
    ],
)
def test_a_file_that_is_no_list_of_photos(tmp_path: Path, name: str, content: str, message: str) -> None:
    draw(tmp_path / "photo.jpg")
    (tmp_path / name).write_text(content)
    with pytest.raises(ManifestError, match=message) as error:
        detect_layout(tmp_path / name)
    assert "\n" not in str(error.value)


def test_a_folder_without_photos_states_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"contains no photo \(\.jpg, .*Found: no file\.$"):
        detect_layout(tmp_path)
    for name in ("a.zip", "b.txt", "c.txt"):
        (tmp_path / name).write_text("x")
    with pytest.raises(ManifestError, match=r"Found: 2 × \.txt, 1 × \.zip\. Unpack the archive first\.$"):
        detect_layout(tmp_path)
    with pytest.raises(ManifestError, match="does not exist"):
        detect_layout(tmp_path / "gone")


def test_folder_numbers_are_class_ids_only_if_all_are_there(tmp_path: Path) -> None:
    draw_all(tmp_path, *(f"{n}/a.jpg" for n in range(18)))
    assert detect_layout(tmp_path).layout == "folder"
    (tmp_path / "17" / "a.jpg").unlink()
    assert detect_layout(tmp_path).layout == "plain"


def test_names_in_another_unicode_form_are_found(tmp_path: Path) -> None:
    draw(tmp_path / unicodedata.normalize("NFD", "한국.jpg"))
    write_lines(tmp_path / "목록.csv", "파일,성별", f"{unicodedata.normalize('NFC', '한국.jpg')},여")
    found = detect_layout(tmp_path)
    assert found.layout == "table"
    (row,) = LAYOUTS["table"](tmp_path, root_name="r", cuts=CUTS, **found.arguments).to_pylist()
    assert (row["status"], row["gender"]) == ("ok", "female")


# -- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "values", "columns", "words"),
    [
        ("gender", ["0", "1"], {"gender": ""}, {}),
        ("Male", ["-1", "1"], {"gender": "Male"}, {("gender", "-1"): "female", ("gender", "1"): "male"}),
        ("has_mask", ["yes", "no"], {"mask": "has_mask"}, {("mask", "yes"): "worn", ("mask", "no"): "none"}),
        ("mask", ["Worn", "none", ""], {"mask": "mask"}, {}),
        ("label", ["Masked", "No mask"], {"mask": "label"}, {("mask", "Masked"): "worn", ("mask", "No mask"): "none"}),
        ("label", ["cat", "dog"], {}, {}),
        ("age", ["37", "61.0"], {"age": "age"}, {}),
        ("age", ["1980", "1955"], {"age": ""}, {}),
        ("age_group", ["20-29", "more than 70"], {"age_class": "age_group"}, {}),
        ("subset", ["train", "Validation"], {"split": "subset"}, {}),
        ("partition", ["0", "2"], {"split": "partition"}, {("split", "0"): "train", ("split", "2"): "test"}),
        ("split", ["gallery", "probe"], {"split": ""}, {}),
        ("id", ["1", "2"], {}, {}),
        ("id", ["1", "1"], {"person_id": "id"}, {}),
    ],
)
def test_a_column_is_recognised_by_name_and_values(
    header: str, values: list[str], columns: dict[str, str], words: dict[tuple[str, str], str]
) -> None:
    guess = guess_columns([header], [{header: value} for value in values])
    assert (guess.columns, guess.words) == (columns, words)


def test_a_column_that_is_not_understood_is_noted_with_the_options() -> None:
    rows = [{"mask": word} for word in ("chin down", "on", "on", "off")]
    (note,) = guess_columns(["mask"], rows).notes
    assert note == (
        "column 'mask' is not read as mask: its most frequent values are 'on' (2), 'chin down' (1), 'off' (1); "
        "to read it: --map mask=mask --value mask:on=worn --value 'mask:chin down=incorrect' --value mask:off=none"
    )


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("WithMask", {"mask": "worn"}),
        ("mask_weared_incorrect", {"mask": "incorrect"}),
        ("Women no-mask 60+", {"mask": "none", "gender": "female", "age_class": 2}),
        ("18-39", {"age_class": -1}),
        ("class_07", {"mask": "incorrect", "gender": "male", "age_class": 1}),
        ("mask", {}),
        ("2020-2021", {}),
        ("male friends", {}),
        ("train", {}),
    ],
)
def test_labels_in_the_name_of_a_folder(name: str, labels: dict[str, Any]) -> None:
    assert labels_in_name(name, CUTS) == labels


def test_the_split_of_a_list() -> None:
    names = ("annotations/instances_train2017.json", "valid/_annotations.coco.json", "a/dev.csv", "contest.csv")
    assert [split_of_file(name) for name in names] == ["train", "val", "val", None]


@pytest.mark.faces
def test_real_portraits() -> None:
    if "FACES_DIR" not in os.environ:
        pytest.skip("FACES_DIR is not set")
    found: DetectedLayout = detect_layout(Path(os.environ["FACES_DIR"]))
    assert (found.layout, found.arguments) == ("table", {"csv": "labels.csv", "columns": {"path": "file"}})
    assert found.evidence.endswith("; 615 of 615 paths exist")
