"""Export as a flat CSV and in the competition's layout, which can be ingested again."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from data_manifests.errors import ManifestError
from data_manifests.export.formats import export
from data_manifests.ingest import ingest_profiles
from data_manifests.schema import conform
from data_manifests.taxonomy import SHOT_MASK, SHOTS, AgeCuts, age_class_of, class_id_of
from data_manifests.versions.content_hash import file_sha256, sample_id
from data_manifests.versions.store import Store


def write(store: Store, rows: list[dict[str, Any]]) -> None:
    """Write a manifest `m` of these rows, each with its own image."""
    folder = store.workspace.parent / "photos"
    folder.mkdir(exist_ok=True)
    full = []
    for number, row in enumerate(rows):
        path = f"{number:03d}.png"
        if not (folder / path).exists():
            Image.fromarray(np.full((4, 4, 3), number, np.uint8)).save(folder / path)
        sha256 = file_sha256(folder / path)
        name = sample_id(path, sha256)
        full.append(
            {
                "sample_id": name, "source_id": name, "root": "photos", "path": path, "sha256": sha256,
                "person_id": "p1", "profile_id": "p1", "shot": None, "mask": "none", "gender": "male", "age": 40,
                "status": "ok", "reason": None, "is_synthetic": False, "x_race": "Asian",
            }
            | row
        )  # fmt: skip
    table = conform(pa.Table.from_pylist(full))
    age_class = age_class_of(table["age"], AgeCuts())
    class_id = class_id_of(table["mask"], table["gender"], age_class)
    table = table.set_column(table.column_names.index("age_class"), "age_class", age_class)
    table = table.set_column(table.column_names.index("class_id"), "class_id", class_id)
    store.set_root("photos", folder)
    store.write("m", table, "ingest")


def ledger(out: Path) -> list[dict[str, str]]:
    with (out / "ledger.csv").open(encoding="utf8", newline="") as file:
        return list(csv.DictReader(file))


def files(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*") if path.is_file())


def seven(**values: Any) -> list[dict[str, Any]]:
    return [{"shot": shot, "mask": SHOT_MASK[shot]} | values for shot in SHOTS]


def test_profiles_have_the_layout_of_the_competition(store: Store, tmp_path: Path) -> None:
    write(store, seven(person_id="000001", profile_id="000001", gender="female"))
    done = export(store, "m", "profiles", tmp_path / "out")
    assert (done.written, done.left_out) == (7, {})
    assert done.lines() == ["m@1: 7 rows written, 0 left out"]
    folder = "images/000001_female_Asian_40"
    assert files(tmp_path / "out") == sorted(
        ["export.json", "ledger.csv", "train.csv", *(f"{folder}/{s}.png" for s in SHOTS)]
    )
    assert (tmp_path / "out" / "train.csv").read_text().splitlines() == [
        "id,gender,race,age,path,person_id",
        "000001,female,Asian,40,000001_female_Asian_40,000001",
    ]
    about = json.loads((tmp_path / "out" / "export.json").read_text())
    assert about["ref"] == "m@1"
    assert about["content_hash"] == store.version("m").content_hash
    row = ledger(tmp_path / "out")[1]
    assert row["written_as"] == f"{folder}/mask1.png"
    assert file_sha256(tmp_path / "out" / row["written_as"]) == store.read("m").table["sha256"][1].as_py()


def test_synthetic_profiles_get_their_own_names_and_keep_their_person(store: Store, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"person_id": "7", "profile_id": "7", "shot": "normal"},
        {"person_id": "7", "profile_id": "7/s1", "shot": "normal", "is_synthetic": True},
        {"person_id": "7-s1", "profile_id": "7-s1", "shot": "normal"},
    ]
    write(store, rows)
    export(store, "m", "profiles", tmp_path / "out")
    lines = [line.split(",") for line in (tmp_path / "out" / "train.csv").read_text().splitlines()[1:]]
    assert {(line[0], line[-1]) for line in lines} in (
        {("7", "7"), ("7-s1", "7"), ("7-s1-2", "7-s1")},
        {("7", "7"), ("7-s1", "7-s1"), ("7-s1-2", "7")},
    )
    table = ingest_profiles(tmp_path / "out", root_name="r", cuts=AgeCuts())
    assert pc.count_distinct(table["profile_id"]).as_py() == 3
    assert sorted(set(table["person_id"].to_pylist())) == ["7", "7-s1"]


def test_a_relabelled_photo_moves_to_the_shot_of_its_label(store: Store, tmp_path: Path) -> None:
    rows = seven()
    rows[0]["mask"], rows[6]["mask"] = "incorrect", "none"  # swapped shots
    rows[1]["mask"] = "none"  # and one "worn" shows no mask, but the shot `normal` is taken
    write(store, rows)
    done = export(store, "m", "profiles", tmp_path / "out")
    assert done.written == 7
    written = [row["written_as"].removeprefix("images/") for row in ledger(tmp_path / "out")]
    assert written[0] == "p1_male_Asian_40/incorrect_mask.png"
    assert sorted([written[1], written[6]]) == ["p1-2_male_Asian_40/normal.png", "p1_male_Asian_40/normal.png"]
    assert written[2] == "p1_male_Asian_40/mask2.png"


def test_photos_of_a_profile_that_differ_in_age_or_gender_get_separate_folders(store: Store, tmp_path: Path) -> None:
    rows = seven()
    rows[3]["gender"] = "female"
    write(store, rows)
    export(store, "m", "profiles", tmp_path / "out")
    lines = (tmp_path / "out" / "train.csv").read_text().splitlines()[1:]
    assert lines == ["p1,male,Asian,40,p1_male_Asian_40,p1", "p1-2,female,Asian,40,p1-2_female_Asian_40,p1"]


def test_rows_left_out_are_in_the_ledger(store: Store, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {},
        {"status": "failed", "reason": "ingest: file is empty (0 bytes)"},
        {"status": "excluded"},
        {"age": None},
        {"gender": None},
        {"mask": None},
        {"person_id": "gone", "profile_id": "gone"},
        {"person_id": "new", "profile_id": "new"},
    ]
    write(store, rows)
    photos = tmp_path / "photos"
    (photos / "006.png").unlink()
    (photos / "007.png").write_bytes(b"other")
    done = export(store, "m", "profiles", tmp_path / "out")
    reasons = [
        "",
        "status failed",
        "status excluded",
        "no age",
        "no gender",
        "no mask",
        "file missing",
        "file changed since ingest",
    ]
    assert [row["left_out_because"] for row in ledger(tmp_path / "out")] == reasons
    assert ledger(tmp_path / "out")[1]["reason"] == "ingest: file is empty (0 bytes)"
    assert done.written == 1
    assert done.left_out == dict.fromkeys(reasons[1:], 1)
    assert (tmp_path / "out" / "train.csv").read_text().splitlines()[1:] == ["p1,male,Asian,40,p1_male_Asian_40,p1"]
    assert os.listdir(tmp_path / "out" / "images") == ["p1_male_Asian_40"]


def test_nothing_to_write_is_an_error_and_leaves_nothing(store: Store, tmp_path: Path) -> None:
    write(store, [{"status": "failed"}, {"age": None}])
    with pytest.raises(
        ManifestError, match=r"none of 2 rows .*: 1 with status failed, 1 with no age\. .* csv --out m-1$"
    ):
        export(store, "m", "profiles", tmp_path / "deep" / "out")
    assert list((tmp_path / "deep").iterdir()) == []


def test_out_must_be_new_or_empty(store: Store, tmp_path: Path) -> None:
    write(store, [{}])
    out = tmp_path / "out"
    out.mkdir()
    export(store, "m", "csv", out)
    before = files(out)
    with pytest.raises(ManifestError, match="must be a new or empty folder"):
        export(store, "m", "csv", out)
    with pytest.raises(ManifestError, match="must be a new or empty folder"):
        export(store, "m", "csv", out / "labels.csv")
    assert files(out) == before
    with pytest.raises(ManifestError, match=r"format must be one of \{csv, profiles\}\. Got 'xml' instead"):
        export(store, "m", "xml", tmp_path / "other")


def test_links_share_the_file_and_copies_do_not(store: Store, tmp_path: Path) -> None:
    write(store, [{}])
    for link in (True, False):
        out = tmp_path / f"out{link}"
        export(store, "m", "profiles", out, link=link)
        target = out / ledger(out)[0]["written_as"]
        assert target.samefile(tmp_path / "photos" / "000.png") == link


def test_a_link_that_leads_out_of_the_root_is_left_out(store: Store, tmp_path: Path) -> None:
    write(store, [{}, {"person_id": "q", "profile_id": "q"}])
    photo = tmp_path / "photos" / "001.png"
    photo.rename(tmp_path / "secret.png")
    photo.symlink_to(tmp_path / "secret.png")
    assert export(store, "m", "profiles", tmp_path / "out").left_out == {"file outside its root": 1}


def test_csv_has_every_row_and_column(store: Store, tmp_path: Path) -> None:
    write(store, [{"box_xyxy": [1.5, 2.0, 3.0, 4.0]}, {"status": "failed", "age": None, "box_xyxy": None}])
    done = export(store, "m", "csv", tmp_path / "out")
    assert (done.written, done.left_out) == (2, {})
    read = pa_csv.read_csv(tmp_path / "out" / "labels.csv")
    names = store.read("m").table.column_names
    names.insert(names.index("class_id") + 1, "class_name")
    assert read.column_names == names
    rows = read.to_pylist()
    assert rows[0]["class_name"] == "none male 30-59"
    assert rows[0]["box_xyxy"] == "1.5 2 3 4"
    assert rows[1]["age"] is None
    assert rows[1]["box_xyxy"] in (None, "")


LABELLED = st.lists(
    st.fixed_dictionaries(
        {
            "person_id": st.sampled_from(["a", "b/1", "A", "ü x"]),
            "profile_id": st.sampled_from(["a", "b/1", "A", "ü x", "a/s1", "..", ""]),
            "shot": st.sampled_from([*SHOTS, None]),
            "mask": st.sampled_from(["worn", "incorrect", "none"]),
            "gender": st.sampled_from(["male", "female"]),
            "age": st.integers(0, 116),
            "x_race": st.sampled_from(["Asian", "a/b", None]),
        }
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LABELLED)
def test_exported_profiles_read_back_unchanged(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    """Every image is read back once with its labels, whatever the names and labels are."""
    base = tmp_path_factory.mktemp("round")
    persons: dict[str, str] = {}
    for row in rows:  # a profile belongs to one person
        row["person_id"] = persons.setdefault(row["profile_id"], row["person_id"])
    store = Store(base / "workspace")
    write(store, rows)
    assert export(store, "m", "profiles", base / "out").written == len(rows)
    back = ingest_profiles(base / "out", root_name="r", cuts=AgeCuts())
    back = back.filter(pc.equal(back["status"], "ok"))
    told = ["sha256", "person_id", "mask", "gender", "age", "class_id"]
    expected = store.read("m").table.select(told).sort_by("sha256")
    assert back.select(told).sort_by("sha256").to_pylist() == expected.to_pylist()
