"""Ingest of the layouts imagefolder, coco, label_studio and plain."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from data_manifests.errors import ManifestError
from data_manifests.ingest import LAYOUTS, detect_layout
from data_manifests.ingest.annotation_files.match_files import FileMatcher
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions.validation import validate
from tests.support.photo_folders import coco, draw, label_studio_task, write_json, write_lines

CUTS = AgeCuts(30, 60)


def ingest(layout: str, source: Path, **options: Any) -> dict[str, dict[str, Any]]:
    """Return the rows of a source by path."""
    table = LAYOUTS[layout](source, root_name="r", cuts=CUTS, **options)
    validate(table)
    rows = {row["path"]: row for row in table.to_pylist()}
    assert len(rows) == table.num_rows
    return rows


def labels(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["mask"], row["gender"], row["age"], row["split"]


# -- imagefolder ------------------------------------------------------------------------------------------------------


def test_metadata_csv_with_guessed_columns(tmp_path: Path) -> None:
    for number in range(3):
        draw(tmp_path / "images" / f"{number}.jpg", number)
    draw(tmp_path / "images" / "unlisted.jpg", 9)
    lines = ("0.jpg,F,37,without_mask,K1", "1.jpg,M,,with_mask,K2", "gone.jpg,F,20,with_mask,")
    write_lines(tmp_path / "images" / "metadata.csv", "file_name,sex,age,wearing,camera", *lines)
    rows = ingest("imagefolder", tmp_path)
    assert labels(rows["images/0.jpg"]) == ("none", "female", 37, None)
    assert labels(rows["images/1.jpg"]) == ("worn", "male", None, None)
    assert rows["images/1.jpg"]["reason"] == "ingest: age is empty in row 3"
    assert rows["images/0.jpg"]["x_camera"] == "K1"
    assert rows["images/gone.jpg"]["reason"] == "ingest: file does not exist"
    assert len(rows) == 3


def test_metadata_jsonl_per_split(tmp_path: Path) -> None:
    for folder in ("train", "validation"):
        draw(tmp_path / folder / "a.png", len(folder))
        line = json.dumps({"file_name": "a.png", "age": 61.0, "label": "female", "objects": {"bbox": [[1, 2, 3, 4]]}})
        write_lines(tmp_path / folder / "metadata.jsonl", line, *(["no json"] if folder == "train" else []))
    rows = ingest("imagefolder", tmp_path)
    assert labels(rows["validation/a.png"]) == (None, "female", 61, "val")
    assert rows["train/a.png"]["x_objects"] == '{"bbox": [[1, 2, 3, 4]]}'
    (bad,) = (row for row in rows.values() if row["status"] == "failed")
    assert "row 2 is not JSON" in bad["reason"]


def test_options_win_over_the_guess(tmp_path: Path) -> None:
    draw(tmp_path / "0.jpg")
    write_lines(tmp_path / "metadata.csv", "file_name,label,age", "0.jpg,on,37")
    given = {"columns": {"mask": "label", "age": ""}, "words": {("mask", "on"): "worn"}}
    assert labels(ingest("imagefolder", tmp_path, **given)["0.jpg"]) == ("worn", None, None, None)
    with pytest.raises(ManifestError, match=r"metadata\.csv: no column 'lable' among \{label, age\}; use --map mask="):
        ingest("imagefolder", tmp_path, columns={"mask": "lable"})


# -- coco -------------------------------------------------------------------------------------------------------------


def test_categories_give_labels_and_several_faces_are_reported(tmp_path: Path) -> None:
    faces = {
        "0.jpg": [("mask", {})],
        "1.jpg": [("no-mask", {}), ("no-mask", {})],
        "2.jpg": [("mask", {}), ("no-mask", {})],
        "3.jpg": [],
        "gone.jpg": [("mask", {})],
    }
    for number in range(4):
        draw(tmp_path / "valid" / f"{number}.jpg", number)
        draw(tmp_path / "train" / f"{number}.jpg", 10 + number)
    write_json(tmp_path / "valid" / "_annotations.coco.json", coco(faces, ["people", "mask", "no-mask"]))
    write_json(tmp_path / "train" / "_annotations.coco.json", coco({"0.jpg": [("no-mask", {})]}, ["mask", "no-mask"]))
    rows = ingest("coco", tmp_path)
    assert len(rows) == 6
    assert labels(rows["train/0.jpg"]) == ("none", None, None, "train")
    assert labels(rows["valid/0.jpg"]) == ("worn", None, None, "val")
    at = "image {} of valid/_annotations.coco.json"
    assert rows["valid/1.jpg"]["reason"] == f"ingest: 2 faces are annotated in {at.format(2)}"
    assert (rows["valid/1.jpg"]["status"], rows["valid/1.jpg"]["mask"]) == ("ok", "none")
    assert rows["valid/2.jpg"]["status"] == "failed"
    assert f"{at.format(3)} has 2 values for mask: worn, none" in rows["valid/2.jpg"]["reason"]
    assert rows["valid/3.jpg"]["reason"] == f"ingest: no annotation in {at.format(4)}"
    assert "no photo of the folder matches 'gone.jpg'" in rows["gone.jpg"]["reason"]


def test_attributes_and_mixed_categories(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "a b.jpg")
    draw(tmp_path / "images" / "c.jpg", 1)
    about = {"age": 37.0, "person_id": "p7", "occluded": False}
    faces = {"old/place/a b.jpg": [("face", {}), ("female 30-59", about)], "c.jpg": [("male 20-40", {})]}
    write_json(tmp_path / "annotations" / "instances_default.json", coco(faces, ["face", "female 30-59", "male 20-40"]))
    rows = ingest("coco", tmp_path, annotations="annotations/instances_default.json", mask="none")
    row = rows["images/a b.jpg"]
    assert labels(row) == ("none", "female", 37, None)
    assert (row["person_id"], row["class_id"], row["x_occluded"]) == ("p7", 12 + 3 + 1, "false")
    assert row["x_category"] == "face"
    assert rows["images/c.jpg"]["gender"] == "male"
    assert "ages male 20-40" not in rows["images/c.jpg"]["reason"]
    assert "are in more than one of the classes <30, 30-59, >=60" in rows["images/c.jpg"]["reason"]
    with pytest.raises(ManifestError, match=r"annotation file .*c\.json' does not exist"):
        ingest("coco", tmp_path, annotations="c.json")


# -- label_studio -----------------------------------------------------------------------------------------------------


def test_an_export_with_several_annotators(tmp_path: Path) -> None:
    for number in range(5):
        draw(tmp_path / "photos" / f"{number}.jpg", number)
    tasks = [
        label_studio_task(1, "/data/upload/3/1a2b3c4d-0.jpg", {"mask": "No mask", "sex": "Male", "age": 37}),
        label_studio_task(2, "/data/local-files/?d=home%2Fphotos%2F1.jpg", {"sex": "Female"}, {"sex": "Female"}),
        label_studio_task(3, "s3://bucket/2.jpg", {"sex": "Female"}, {"sex": "Male"}),
        label_studio_task(4, "http://localhost:8080/data/photos/3.jpg?token=x"),
        label_studio_task(5, "/data/upload/3/1a2b3c4d-4.jpg", {"sex": "Male"}, cancelled=True),
        label_studio_task(6, "/data/upload/3/1a2b3c4d-gone.jpg", {"sex": "Male"}),
    ]
    write_json(tmp_path / "project-3.json", tasks)
    rows = ingest("label_studio", tmp_path)
    assert labels(rows["photos/0.jpg"]) == ("none", "male", 37, None)
    assert labels(rows["photos/1.jpg"]) == (None, "female", None, None)
    assert rows["photos/2.jpg"]["status"] == "failed"
    assert "task 3 has 2 values for gender: Female, Male" in rows["photos/2.jpg"]["reason"]
    for number, task in ((3, 4), (4, 5)):
        assert f"ingest: no annotation in task {task}" in rows[f"photos/{number}.jpg"]["reason"]
        assert rows[f"photos/{number}.jpg"]["status"] == "ok"
        assert rows[f"photos/{number}.jpg"]["gender"] is None
    assert len([row for row in rows.values() if row["status"] == "failed"]) == 2


def test_json_min_joins_the_annotations_of_a_task(tmp_path: Path) -> None:
    draw(tmp_path / "0.jpg")
    about = {"image": "/data/upload/1/0a0b0c0d-0.jpg", "id": 1, "created_at": "x", "lead_time": 3.5}
    entries = [
        {**about, "gender": "male", "mask": {"choices": ["worn"]}, "annotator": 1, "annotation_id": 1},
        {**about, "gender": "male", "age": 64, "annotator": 2, "annotation_id": 2},
    ]
    write_json(tmp_path / "min.json", entries)
    row = ingest("label_studio", tmp_path)["0.jpg"]
    assert labels(row) == ("worn", "male", 64, None)
    assert "x_image" not in row
    write_json(tmp_path / "min.json", {"no": "export"})
    with pytest.raises(ManifestError, match="must have a JSON or JSON_MIN export"):
        ingest("label_studio", tmp_path)
    with pytest.raises(ManifestError, match=r"'min\.json' must be a list of tasks"):
        ingest("label_studio", tmp_path, annotations="min.json")


def test_a_photo_is_found_by_the_end_of_its_path() -> None:
    matcher = FileMatcher(["a/x/1.jpg", "a/y/1.jpg", unicodedata.normalize("NFD", "사진/한.jpg"), "deadbeef-2.jpg"])
    assert matcher.match("/elsewhere/y/1.jpg") == ("a/y/1.jpg", None)
    assert matcher.match("C:\\data\\x\\1.jpg") == ("a/x/1.jpg", None)
    assert matcher.match("1.jpg", near="a/x") == ("a/x/1.jpg", None)
    assert matcher.match("1.jpg") == ("1.jpg", "2 photos match '1.jpg': a/x/1.jpg, a/y/1.jpg")
    assert matcher.match("사진/한.jpg")[1] is None
    assert matcher.match("deadbeef-2.jpg") == ("deadbeef-2.jpg", None)
    assert matcher.match("") == ("", "path is empty")


# -- plain ------------------------------------------------------------------------------------------------------------


def test_photos_without_labels(tmp_path: Path) -> None:
    for number, path in enumerate(("loose.JPG", "train/한국인/1.jpg", "test/한국인/2.jpg", "train/Ada L/1.png")):
        draw(tmp_path / path, number)
    rows = ingest("plain", tmp_path)
    assert {row["person_id"] for row in rows.values()} == set(rows)
    assert {path: row["split"] for path, row in rows.items()} == {
        "loose.JPG": None, "train/한국인/1.jpg": "train", "test/한국인/2.jpg": "test", "train/Ada L/1.png": "train",
    }  # fmt: skip
    assert all(row["mask"] is row["gender"] is row["age"] is None for row in rows.values())
    by_folder = ingest("plain", tmp_path, person="folder", mask="none")
    people = {path: row["person_id"] for path, row in by_folder.items()}
    assert people.pop("loose.JPG") == "loose.JPG"
    assert people == {"train/한국인/1.jpg": "한국인", "test/한국인/2.jpg": "한국인", "train/Ada L/1.png": "Ada L"}
    assert {row["mask"] for row in by_folder.values()} == {"none"}
    with pytest.raises(ManifestError, match=r"person must be one of \{photo, folder\}\. Got 'file' instead"):
        ingest("plain", tmp_path, person="file")


def test_one_split_for_all_photos_is_no_division(tmp_path: Path) -> None:
    draw(tmp_path / "train" / "a.jpg")
    assert ingest("plain", tmp_path)["train/a.jpg"]["split"] is None


# -- any content ------------------------------------------------------------------------------------------------------

KEYS = ("id", "image_id", "category_id", "file_name", "name", "bbox", "attributes", "data", "image", "annotations")
KEYS += ("result", "value", "from_name", "type", "choices", "was_cancelled", "annotation_id", "age")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.floats() | st.sampled_from(["0.jpg", "male", "no mask", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(images=st.lists(JSON, max_size=3), annotations=st.lists(JSON, max_size=4), categories=st.lists(JSON, max_size=2))
def test_any_coco_file_gives_rows_or_a_one_line_error(
    tmp_path: Path, images: list[Any], annotations: list[Any], categories: list[Any]
) -> None:
    content = {"images": images, "annotations": annotations, "categories": categories}
    rows = sum(isinstance(image, dict) for image in images)
    assert_rows_or_error("coco", tmp_path, content, rows)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=JSON, others=st.lists(JSON, max_size=3))
@example(first={"id": None, "result": True}, others=[])
def test_any_label_studio_file_gives_rows_or_a_one_line_error(tmp_path: Path, first: Any, others: list[Any]) -> None:
    task = {"data": first if isinstance(first, dict) else {"image": "0.jpg"}, "annotations": [first]}
    assert_rows_or_error("label_studio", tmp_path, [task, *others])


def assert_rows_or_error(layout: str, source: Path, content: Any, rows: int | None = None) -> None:
    if not (source / "0.jpg").exists():
        draw(source / "0.jpg")
    write_json(source / "a.json", content)
    errors = []
    try:
        table = LAYOUTS[layout](source, root_name="r", cuts=CUTS)
        validate(table)
        assert rows in (None, table.num_rows)
    except ManifestError as error:
        errors.append(str(error))
    try:
        detect_layout(source)
    except ManifestError as error:
        errors.append(str(error))
    assert not any("\n" in text for text in errors)
