"""Plain-folder commands over the corpus of bad photos: a row for every entry, and no entry stops the others."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from data_manifests.versions import Store
from preprocess.folder import run_folder
from preprocess.settings import PreprocessSettings
from synth.images import run_images
from tests.support.bad_photos import JPEG, LONG_NAME, NOT_UTF8, Kind, write_corpus

LEFT_OUT = {"notes.txt", "linked", "gr\\udcfc\\udcdfe.jpg"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Kind]]:
    folder = tmp_path_factory.mktemp("corpus") / "photos"
    kinds = write_corpus(folder)
    (folder / LONG_NAME).write_bytes(JPEG)
    (folder / "notes.txt").write_text("no picture")
    (folder / "linked").symlink_to(folder.parent)
    with open(os.fsencode(folder) + b"/" + NOT_UTF8, "wb") as file:
        file.write(JPEG)
    return folder, kinds


def read_rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def check_rows(rows: dict[str, dict[str, str]], kinds: dict[str, Kind]) -> None:
    assert set(rows) == {*kinds, LONG_NAME, *LEFT_OUT}
    assert {name for name, row in rows.items() if row["status"] == "left_out"} == LEFT_OUT
    for name, kind in kinds.items():
        if kind.reason:
            assert rows[name]["status"] == "failed", name
            assert kind.reason in rows[name]["reason"]
        else:
            assert "decoded" not in rows[name]["reason"], name


def test_preprocess_images_keeps_a_row_of_each(corpus: tuple[Path, dict[str, Kind]], tmp_path: Path) -> None:
    folder, kinds = corpus
    settings = PreprocessSettings.model_validate({"jobs": 1, "executor": "serial", "steps": ["crop"]})
    done = run_folder(settings, folder, tmp_path / "out", Store(tmp_path / "ws"))
    rows = read_rows(tmp_path / "out" / "preprocess.csv")
    check_rows(rows, kinds)
    assert done.ledger.total() == len(kinds) + 1
    assert "3 other entries left out" in "\n".join(done.lines(tmp_path))
    written = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.jpg")}
    assert written == {row["output"] for row in rows.values() if row["output"].endswith(".jpg")}


def test_synth_images_keeps_a_row_of_each(corpus: tuple[Path, dict[str, Kind]], tmp_path: Path) -> None:
    folder, kinds = corpus
    done = run_images(folder, tmp_path / "out", ["kf94_white"], ["worn"], executor="serial")
    check_rows(read_rows(tmp_path / "out" / "synth.csv"), kinds)
    assert done.ledger.total() == len(kinds) + 1
    assert done.others.total() == 3
