"""The whole pipeline as a new user runs it: commands only, from rendered people to a report."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from data_manifests.corrections.log import append_correction
from data_manifests.corrections.record import Correction
from data_manifests.versions.store import Store

pytestmark = [pytest.mark.workers, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
TRAIN = ["optim.epochs=1", "data.size=[48, 48]"]


def run(workspace: Path, *words: str, code: int = 0) -> str:
    """One command; its last line but the next command, on stdout if it went well, else on stderr."""
    environment = os.environ | {"WORKSPACE": str(workspace), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    lines = (done.stderr if code else done.stdout).strip().splitlines()
    return [line for line in lines if not line.startswith("next: ")][-1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve people all the way to `balanced`; tests work on copies of this workspace."""
    folder = tmp_path_factory.mktemp("line") / "workspace"
    photos = folder / "photos"
    run(folder, "synth", "demo", str(photos), "--persons", "12", "--seed", "2")
    run(folder, "data_manifests", "ingest", str(photos), "--layout", "profiles", "--name", "line")
    run(folder, "data_manifests", "split", "line@photos")
    run(folder, "preprocess", "run", "line@photos", "--config", "configs/demo.yaml", "--tag", "preprocessed")
    run(folder, "synth", "run", "line@preprocessed", "--config", "configs/demo.yaml", "--tag", "balanced")
    return folder


@pytest.fixture
def workspace(built: Path, tmp_path: Path) -> Path:
    """Return a copy of the built workspace, so that no test depends on what another one has written."""
    copy = tmp_path / "workspace"
    shutil.copytree(built, copy)
    Store(copy).set_root("line", copy / "photos")
    return copy


def test_every_row_is_accounted_for_at_every_step(workspace: Path) -> None:
    versions = Store(workspace).log("line")
    assert [version.operation for version in versions] == [
        "ingest",
        "split",
        "prepare",
        "background",
        "drop-ages",
        "synth",
    ]
    for version in versions:
        assert sum(version.ledger.values()) == version.rows
        assert version.ledger.get("failed", 0) == 0
    assert {version.rows for version in versions[:-1]} == {12 * 7}


def test_it_ends_in_a_report(workspace: Path) -> None:
    last = run(workspace, "train", "fit", "line@balanced", "--config", "configs/train/demo.yaml", *TRAIN)
    report = Path(last.split("report: ")[1])
    assert "line@6" in report.read_text("utf8")
    assert yaml.safe_load((report.parent / "config.yaml").read_text())["optim"]["epochs"] == 1


def test_run_again_it_writes_nothing(workspace: Path) -> None:
    before = {version.number: version.created for version in Store(workspace).log("line")}
    run(workspace, "data_manifests", "ingest", str(workspace / "photos"), "--layout", "profiles", "--name", "line")
    run(workspace, "data_manifests", "split", "line@photos")
    run(workspace, "preprocess", "run", "line@photos", "--config", "configs/demo.yaml", "--tag", "preprocessed")
    run(workspace, "synth", "run", "line@preprocessed", "--config", "configs/demo.yaml", "--tag", "balanced")
    assert {version.number: version.created for version in Store(workspace).log("line")} == before


def test_a_correction_reaches_the_crops_and_costs_no_picture(workspace: Path, tmp_path: Path) -> None:
    """One person's gender is corrected on a crop; the photos' version takes it, and the pictures are found again."""
    store = Store(workspace)
    seen = store.version("line@preprocessed")
    crop = next(row for row in store.read("line@preprocessed").table.to_pylist() if row["split"] == "train")
    new = "male" if crop["gender"] == "female" else "female"
    correction = Correction(
        manifest=seen.pinned, sample_id=crop["sample_id"], person_id=crop["person_id"], scope="person",
        field="gender", old=crop["gender"], new=new, annotator="ada", image_sha256=crop["sha256"],
    )  # fmt: skip
    append_correction(tmp_path / "ada.csv", correction)
    run(workspace, "data_manifests", "apply", "line@photos", str(tmp_path / "ada.csv"))
    pictures = set((workspace / "images" / "background").rglob("*.jpg"))
    run(workspace, "preprocess", "run", "line@photos", "--config", "configs/demo.yaml", "--tag", "preprocessed")
    assert set((workspace / "images" / "background").rglob("*.jpg")) == pictures
    rows = [row for row in store.read("line@preprocessed").table.to_pylist() if row["person_id"] == crop["person_id"]]
    assert {row["gender"] for row in rows} == {new}
    assert {row["sample_id"] for row in rows} & {crop["sample_id"]}  # the same pictures, so the same rows


def test_a_users_mistake_is_one_line(workspace: Path) -> None:
    assert run(workspace, "preprocess", "run", "nobody", "--config", "configs/demo.yaml", code=2).startswith(
        "error: manifest 'nobody' is not in"
    )
    assert "setting must be one of" in run(workspace, "synth", "run", "line", "stagee=2", code=2)
