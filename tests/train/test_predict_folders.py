"""Predictions of plain folders by every kind of run: preparation of photos, faces, names, and columns of answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from data_manifests.errors import StageError
from data_manifests.photo_files import FORMATS
from data_manifests.versions.store import Store
from pipeline.photos.images import load_rgb
from pipeline.runs import Run, find_run
from tests.support.synth_faces import draw_people
from tests.support.train_drawn import rows_of, tiny_settings, write_rows
from train.cli.main import cli
from train.engine.training_run import train_and_report
from train.evaluation.answers import read_answers, tasks_in
from train.photo_folder import NO_FACE, prepare_folder, recorded_steps, steps_for

ROOT = Path(__file__).resolve().parents[2]
# as an earlier release recorded them, before crop.when and crop.margin_share
PREPARED = {
    "detect": {"version": "mtcnn@2.6.0.2", "backend": "mtcnn", "params": {}},
    "landmarks": {"version": "dlib68@1", "backend": "dlib68", "params": {}, "max_disagreement": 0.25},
    "crop": {"version": "2", "margin": 0.2, "size_wh": [96, 96], "align": False, "border": "replicate"},
}
PEOPLE = {"a": 24, "b": 26, "c": 45, "d": 47, "e": 65, "f": 70, "g": 31, "h": 66}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Train one run for each kind of network, on drawn pictures; those of `crops` say that they were cropped."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("predict")
    store = Store(folder / "workspace")
    write_rows(store, rows_of(store, 12, split="train") + rows_of(store, 6, split="val", first=12))
    photos = store.read("drawn@1")
    store.write("crops", photos.table, "ingest")
    store.write("crops", photos.table, "prepare", parents=[store.version("crops@1")], parameters=PREPARED)
    store.set_root("drawn", folder / "people")
    store.write("people", draw_people(folder / "people", PEOPLE), "ingest")
    once = {"epochs": 1, "metric": "auto"}
    for ref, more in (
        ("drawn", {"model": {"head": "mask"}}),
        ("drawn", {"model": {"head": "mask+gender"}}),
        ("crops", {}),
        ("people", {"model": {"embedding": "dlib", "head": "gender"}, "data": {"augment": {}}}),
    ):
        train_and_report(store, ref, tiny_settings(optim=once, **more), once=False, echo=lambda line: None)
    return store


@pytest.fixture(scope="module")
def photos(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a folder with a rendered portrait in a sub-folder, a wall without a face, and files that are no picture."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "it is" / "deep").mkdir(parents=True)
    portrait = load_rgb(store.file_of("drawn", "a.png"))
    Image.fromarray(portrait).save(folder / "it is" / "deep" / "Größe 1.PNG")
    Image.fromarray(np.full((300, 200, 3), 120, np.uint8)).save(folder / "wall.jpg")
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no picture either")
    return folder


NO_PICTURE = f"is not a picture in a known format ({', '.join(FORMATS)})"
PORTRAIT = "it is/deep/Größe 1.PNG"


def predict(store: Store, run: str, source: Path | str, out: Path, *words: str) -> Result:
    command = ["predict", run, str(source), "--out", str(out), *words]
    return CliRunner().invoke(cli, command, env={"WORKSPACE": str(store.workspace)}, catch_exceptions=False)


# -- columns ----------------------------------------------------------------------------------------------------------
def test_a_head_of_masks_gives_a_column_of_masks(store: Store, photos: Path, tmp_path: Path) -> None:
    result = predict(store, "drawn-0001", photos, tmp_path / "out.csv", "--probabilities")
    answers = pd.read_csv(tmp_path / "out.csv")
    shares = ["p_mask_worn", "p_mask_incorrect", "p_mask_none"]
    assert list(answers.columns) == ["ImageID", "mask", "confidence", *shares, "reason"]
    assert answers["ImageID"].tolist() == [PORTRAIT, "wall.jpg", "broken.jpg", "notes.txt"]
    assert answers["mask"].iloc[:2].isin(["worn", "incorrect", "none"]).all()
    assert np.allclose(answers[shares].iloc[:2].sum(1), 1, atol=1e-5)
    assert np.allclose(answers[shares].iloc[:2].max(1), answers["confidence"].iloc[:2], atol=1e-5)
    assert answers["mask"].isna().tolist() == [False, False, True, True]
    assert answers["reason"].tolist()[2] == f"broken.jpg: {NO_PICTURE}"
    assert result.output.splitlines()[-1] == "next: facecurate train report drawn-0001"
    assert "drawn-0001: 2 of 3 pictures predicted" in result.output


def test_joined_tasks_give_a_column_each_and_can_vote(store: Store, photos: Path, tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("mask.csv", "both.csv")]
    predict(store, "drawn-0001", photos, Path(files[0]), "--probabilities")
    predict(store, "drawn-0002", photos, Path(files[1]))
    both = pd.read_csv(files[1])
    assert list(both.columns) == ["ImageID", "mask", "gender", "reason"]
    read = read_answers(Path(files[1]))
    assert tasks_in(read) == ("mask", "gender")
    assert len(read) == 2
    assert np.allclose(read[[f"p_{k:02d}" for k in range(18)]].max(1), 1 / 3)  # equal shares for the three ages
    vote = CliRunner().invoke(
        cli, ["ensemble", *files, "--out", str(tmp_path / "vote.csv")], env={"WORKSPACE": str(store.workspace)},
        catch_exceptions=False,
    )  # fmt: skip
    assert vote.exit_code == 0, vote.output
    voted = pd.read_csv(tmp_path / "vote.csv")
    assert list(voted.columns) == ["ImageID", "mask", "gender"]
    by_runs = CliRunner().invoke(
        cli, ["ensemble", "drawn-0001", "drawn-0002", "--on", str(photos), "--out", str(tmp_path / "runs.csv")],
        env={"WORKSPACE": str(store.workspace)}, catch_exceptions=False,
    )  # fmt: skip
    assert by_runs.exit_code == 0, by_runs.output
    assert pd.read_csv(tmp_path / "runs.csv")["reason"].tolist()[-1] == f"broken.jpg: {NO_PICTURE}"


def test_answers_of_a_version_have_the_names_of_its_photos(store: Store, tmp_path: Path) -> None:
    table = store.read("people@1").table
    made = table.set_column(table.column_names.index("source_id"), "source_id", table["sample_id"])
    renamed = [f"images/prepare/{number}.jpg" for number in range(made.num_rows)]
    for number, row in enumerate(made.to_pylist()):
        target = store.workspace / renamed[number]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(store.file_of(row["root"], row["path"]).read_bytes())
    rows = made.to_pylist()
    changed = [row | {"path": path, "root": "workspace"} for row, path in zip(rows, renamed, strict=True)]
    version = store.write("people", type(table).from_pylist(changed, schema=table.schema), "prepare",
                          parents=[store.version("people@1")])  # fmt: skip
    result = predict(store, "people-0001", version.ref, tmp_path / "out.csv")
    assert sorted(pd.read_csv(tmp_path / "out.csv")["ImageID"]) == [f"{person}.png" for person in PEOPLE]
    assert result.output.splitlines()[-1] == f"next: facecurate train evaluate people-0001 {version.ref}"


# -- preparation ------------------------------------------------------------------------------------------------------
def test_photos_are_cropped_as_the_training_pictures_were(store: Store, photos: Path, tmp_path: Path) -> None:
    run = find_run(store, "crops-0001")
    assert list(recorded_steps(run)) == ["detect", "landmarks", "crop"]
    prepared = prepare_folder(store, run, photos)
    rows = {row["sample_id"]: row for row in prepared.table.to_pylist()}
    assert prepared.names == ["broken.jpg", PORTRAIT, "wall.jpg"]
    assert set(rows) == {PORTRAIT, "wall.jpg"}
    assert load_rgb(store.file_of(rows[PORTRAIT]["root"], rows[PORTRAIT]["path"])).shape == (96, 96, 3)
    assert "no face found, took the middle of the picture" in prepared.remarks["wall.jpg"]
    assert prepared.reasons == {"broken.jpg": f"broken.jpg: {NO_PICTURE}"}
    result = predict(store, "crops-0001", photos, tmp_path / "out.csv")
    assert "photos are prepared as for crops@2: detect, landmarks, crop (--as-is changes no picture)" in result.output
    assert "1 answers are uncertain, first wall.jpg: detect: no face found" in result.output
    answers = pd.read_csv(tmp_path / "out.csv").set_index("ImageID")
    assert answers["ans"].isna().to_dict() == {
        PORTRAIT: False, "wall.jpg": False, "broken.jpg": True, "notes.txt": True,
    }  # fmt: skip


def test_as_is_changes_no_picture(store: Store, photos: Path, tmp_path: Path) -> None:
    assert steps_for(find_run(store, "crops-0001"), as_is=True) == {}
    result = predict(store, "crops-0001", photos, tmp_path / "out.csv", "--as-is")
    assert "photos are prepared" not in result.output
    assert list(pd.read_csv(tmp_path / "out.csv")["reason"].dropna())[:-1] == [f"broken.jpg: {NO_PICTURE}"]


def test_a_version_that_was_not_cropped_is_reported(store: Store, tmp_path: Path) -> None:
    result = predict(store, "crops-0001", "drawn@1", tmp_path / "out.csv")
    assert "the pictures of drawn@1 look different from those that the run was trained on" in result.output
    assert result.output.splitlines()[-1] == "next: facecurate preprocess run drawn@1"
    assert len(pd.read_csv(tmp_path / "out.csv")) == 3 * 18


def test_steps_that_this_release_cannot_repeat_are_one_line(store: Store, photos: Path) -> None:
    run = find_run(store, "crops-0001")
    broken = Run(store.workspace / "runs" / "broken-0001")
    broken.path.mkdir()
    about = run.about()
    about["history"][0]["parameters"]["crop"] = {"margin": 0.2, "border": "torn"}
    broken.write_json("run.json", about)
    with pytest.raises(StageError, match=r"recorded by another release: crop.border has a value unknown here"):
        prepare_folder(store, broken, photos)


def test_an_embedding_finds_the_faces_first(store: Store, photos: Path, tmp_path: Path) -> None:
    result = predict(store, "people-0001", photos, tmp_path / "out.csv")
    answers = pd.read_csv(tmp_path / "out.csv").set_index("ImageID")
    assert answers.loc[PORTRAIT, "gender"] in ("male", "female")
    assert answers.loc["wall.jpg", "reason"] == NO_FACE
    assert answers["gender"].isna().sum() == 3
    assert "no answer for wall.jpg: no face found" in result.output


def test_a_folder_without_a_usable_picture_is_one_line(store: Store, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"")
    for run in ("drawn-0001", "people-0001"):
        with pytest.raises(StageError, match=r"none of the 1 pictures in .* can be .*a\.jpg: file is empty"):
            predict(store, run, tmp_path / "photos", tmp_path / "x.csv")


# -- start ------------------------------------------------------------------------------------------------------------
def test_photos_are_listed_before_torch_is_loaded_and_timm_only_for_a_backbone() -> None:
    code = (
        "import sys, train.cli\n"
        "from train.photo_folder import prepare_folder\n"
        "assert 'torch' not in sys.modules\n"
        "import train.evaluation\n"
        "late = {'timm', 'torchvision', 'torchmetrics', 'matplotlib', 'scipy'} & set(sys.modules)\n"
        "assert not late, late"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
