"""`facecurate doctor` on folders: drawn sets of every layout, its page, its JSON and its commands, which are run."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from data_manifests.errors import ManifestError
from data_manifests.versions import Store
from facecurate.cli import cli
from facecurate.doctor import examination
from pipeline.photos import save_rgb
from synth.demo_faces.dataset.demo_dataset import write_demo
from tests.conftest import draw_picture
from tests.support.code_base import ROOT
from tests.support.partial_sets import draw_partial_folder

MARKUP = '<b onclick="x">&'


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "workspace"


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["doctor", *words], catch_exceptions=False)


def findings(*words: str) -> dict[str, Any]:
    done = run(*words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def write_table(folder: Path, rows: list[tuple[str, str, str, str]], header: str = "file,subject,sex,part") -> Path:
    for place, (file, *_) in enumerate(rows):
        save_rgb(draw_picture(place), folder, file)
    (folder / "list.csv").write_text("\n".join([header, *map(",".join, rows)]) + "\n")
    return folder


def test_a_set_with_masks_alone(tmp_path: Path, workspace: Path) -> None:
    photos = draw_partial_folder(tmp_path / "my masks", "mask", 12)
    (photos / "worn" / "broken.jpg").write_text("not a picture")
    done = run(str(photos))
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == f"doctor: {photos}"
    assert "layout folder" in lines[1]
    assert any("broken.jpg: is not a picture" in line for line in lines)
    assert any(re.match(r"gender +no labels", line) for line in lines)
    [last] = [line for line in lines if line.startswith("next: ")]
    assert lines[-1] == last
    page = (workspace / "doctor" / "my-masks.html").read_text()
    assert "location.reload" not in page
    assert "<h1>my-masks</h1>" in page
    assert "is not a picture in a known format" in page
    assert page.count("data-copy=") == 3
    assert "12 photos without a face that was found" in page
    assert "://" not in re.sub(r'xmlns="[^"]+"', "", page), "the page loads nothing"


def test_the_same_photos_again_give_the_same_version(tmp_path: Path, workspace: Path) -> None:
    photos = draw_partial_folder(tmp_path / "photos", "mask+gender", 12)
    first, second = findings(str(photos)), findings(str(photos))
    assert first | {"page": ""} == second | {"page": ""}
    store = Store(workspace)
    assert [version.operation for version in store.log("photos")] == ["ingest", "audit"]
    assert store.tags("photos") == {"photos": 2}


def test_splits_and_corrections_made_since_are_examined(tmp_path: Path, workspace: Path) -> None:
    photos = draw_partial_folder(tmp_path / "photos", "gender", 12)
    findings(str(photos))
    assert CliRunner().invoke(cli, ["split", "photos@photos"]).exit_code == 0
    found = findings(str(photos))
    assert found["contents"]["splits"].keys() == {"train", "val"}
    again = findings(str(photos))
    assert again["ref"] == found["ref"]
    assert "facecurate split photos@photos" not in [one["command"] for one in again["next"]]


def test_one_photo_without_a_label(tmp_path: Path) -> None:
    save_rgb(draw_picture(1), tmp_path / "one", "a.png")
    found = findings(str(tmp_path / "one"))
    assert found["layout"] == "plain"
    assert found["contents"]["usable"] == 1
    assert found["contents"]["balance"]["ratio"] is None
    assert len(found["next"]) == 3


def test_a_list_with_a_split_that_leaks(tmp_path: Path) -> None:
    people = [(f"{n}.png", f"p{n % 9}", "mf"[n % 2], "train" if n < 9 else "val") for n in range(12)]
    folder = write_table(tmp_path / "photos", people, "file,person_id,gender,split")
    found = findings(str(folder / "list.csv"))
    assert found["layout"] == "table"
    assert [leak["kind"] for leak in found["leaks"]] == ["person"] * 3
    page = Path(found["page"]).read_text()
    assert "3 leaks across the split" in page
    assert "person in train and val" in page


def test_names_are_escaped(tmp_path: Path) -> None:
    write_table(tmp_path / "photos", [("a.png", MARKUP, "m", ""), ("b.png", "p2", "f", "")], "file,person_id,gender,x")
    found = findings(str(tmp_path / "photos"), "--name", "faces")
    assert found["contents"]["people"] == 2
    save_rgb(draw_picture(5), tmp_path / "odd", f"{MARKUP.replace('/', '')}.png")
    page = Path(findings(str(tmp_path / "odd"))["page"]).read_text()
    assert MARKUP not in page
    assert "&lt;b onclick" in page


def test_the_first_page_is_there_before_the_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos, pages = draw_partial_folder(tmp_path / "photos", "mask", 6), []

    def search(store: Store, manifest: Any, found: Any) -> Any:
        pages.append((tmp_path / "page.html").read_text())
        raise ManifestError("no audit today.")

    monkeypatch.setattr(examination, "_search", search)
    done = run(str(photos), "--out", str(tmp_path / "page.html"))
    assert done.exit_code == 0
    assert "location.reload" in pages[0]
    assert pages[0].count("data:image/jpeg") == 6
    after = (tmp_path / "page.html").read_text()
    assert "location.reload" not in after
    assert "no audit today." in after
    assert any(line.startswith("suspects") and "no audit today." in line for line in done.stdout.splitlines())


def test_an_interrupted_page_does_not_reload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = draw_partial_folder(tmp_path / "photos", "mask", 6)
    monkeypatch.setattr(examination, "_search", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert CliRunner().invoke(cli, ["doctor", str(photos), "--out", "page.html"]).exit_code != 0
    assert "location.reload" not in (tmp_path / "page.html").read_text()


def test_a_folder_without_photos_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ManifestError, match="contains no photo"):
        run(str(tmp_path / "empty"))


def test_the_browser_is_opened_only_in_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(examination, "_search", lambda store, manifest, found: found)
    photos = draw_partial_folder(tmp_path / "photos", "mask", 6)
    run(str(photos))
    assert opened == []


def run_commands(found: dict[str, Any]) -> list[str]:
    """Run the next commands of a set as printed, but for the app, which is a server; return them without their REF."""
    done = []
    for one in found["next"]:
        words = shlex.split(one["command"])
        assert words[0] == "facecurate"
        if words[1] != "app":
            program = [sys.executable, "-m", *words]
            ended = subprocess.run(program, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
            assert ended.returncode == 0, (one["command"], ended.stderr[-2000:])
            done.append(" ".join(words[1:3]) if words[1] in ("train", "preprocess") else words[1])
    return done


@pytest.mark.slow
def test_the_commands_of_a_set_without_labels_run(tmp_path: Path) -> None:
    photos = draw_partial_folder(tmp_path / "photos", "none", 6)
    write_demo(tmp_path / "demo", 1, 3)
    shutil.copytree(tmp_path / "demo" / "images", photos, dirs_exist_ok=True)
    assert run_commands(findings(str(photos))) == ["preprocess run", "report"]


@pytest.mark.slow
def test_the_commands_of_a_set_with_masks_lead_to_a_trained_model(tmp_path: Path, workspace: Path) -> None:
    write_demo(tmp_path / "demo", 8, 3)
    for person in sorted((tmp_path / "demo" / "images").iterdir()):
        for shot, label in (("normal", "none"), ("mask1", "worn"), ("incorrect_mask", "incorrect")):
            target = tmp_path / "photos" / label / f"{person.name}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(person / f"{shot}.jpg", target)
    photos = str(tmp_path / "photos")
    ran = run_commands(findings(photos))
    assert ran[:2] == ["split", "preprocess run"]
    if "train fit" not in ran:  # the app was the first of the three
        assert "train fit" in run_commands(findings(photos))
    assert list((workspace / "runs").rglob("report.html"))
