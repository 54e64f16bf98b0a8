"""The command line: printed lines, refused options, and the pages generated from it."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pyarrow.compute as pc
import pytest
from click.testing import CliRunner
from PIL import Image

from data_manifests.cli.main import cli
from data_manifests.corrections.log import append_correction
from data_manifests.corrections.record import Correction
from data_manifests.errors import ToolkitError
from data_manifests.schema import as_markdown
from data_manifests.versions.store import Store

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten people in a CSV; the workspace is below `tmp_path` too."""
    monkeypatch.setenv("WORKSPACE", str(tmp_path / "workspace"))
    folder = tmp_path / "photos"
    folder.mkdir()
    lines = ["file,person_id,gender,age"]
    for number in range(10):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number}.png")
        lines.append(f"{number}.png,p{number},{('male', 'female')[number % 2]},{20 + 5 * number}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


def call(*words: object, code: int = 0) -> list[str]:
    """Run a command and return the lines it prints, without the last one, `next: …`. A ToolkitError is raised."""
    *lines, last = call_for_data(*words, code=code)
    assert last.startswith("next: facecurate ")
    return lines


def call_for_data(*words: object, code: int = 0) -> list[str]:
    """Run a command whose output is data, and return its lines."""
    result = CliRunner().invoke(cli, [str(word) for word in words])
    if isinstance(result.exception, ToolkitError):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout.splitlines()


def ingest(photos: Path, *more: str) -> list[str]:
    return call("ingest", photos, "--layout", "table", "--map", "path=file", "--name", "faces", "--mask", "none", *more)


def open_workspace() -> Store:
    return Store(os.environ["WORKSPACE"])


def photos_tag() -> int:
    return open_workspace().tags("faces")["photos"]


def test_from_photos_to_an_export(photos: Path, tmp_path: Path) -> None:
    lines = ingest(photos)
    assert lines[-1] == "faces@1: 10 rows (ok 10, fallback 0, failed 0, excluded 0)"
    assert "none      male             1         3         1" in lines
    assert photos_tag() == 1
    lines = call("split", "faces", "--folds", 2, "--seed", 5)
    assert lines[-1] == "faces@2: 10 rows (ok 10, fallback 0, failed 0, excluded 0)"
    assert lines[0].split()[:6] == ["strata", "by", "gender", "and", "age", "class"]
    assert [line.split()[:2] for line in lines[-3:-1]] == [["train", "8"], ["val", "2"]]
    assert photos_tag() == 2
    version = open_workspace().version("faces@2")
    assert (version.seed, version.parameters["folds"], version.parameters["ratios"]) == (
        5,
        2,
        {"train": 0.8, "val": 0.2},
    )
    row = open_workspace().read("faces@2").table.to_pylist()[3]
    log = tmp_path / "corrections.csv"
    pinned = f"faces@2#{version.content_hash[:8]}"
    append_correction(
        log, Correction(pinned, row["sample_id"], row["person_id"], "sample", "gender", "female", "male", "me")
    )
    lines = call("apply", "faces", log, "--report", tmp_path / "report.csv")
    assert lines[0].startswith("1 corrections: 1 applied")
    assert lines[-1].startswith("faces@3: 10 rows")
    assert photos_tag() == 3
    assert (tmp_path / "report.csv").read_text().count("\n") == 2
    assert "gender     1 changed: female → male (1)" in call("diff", "faces@2", "faces@3")
    assert call("lineage", "faces", row["sample_id"])[:2] == [
        f"faces@3  apply: row kept, faces/3.png ({row['sample_id']})",
        "    gender: female → male",
    ]
    assert len(call("log", "faces")) == 3
    assert call("log", "faces")[2].endswith("[photos]")
    assert call("verify", "faces")[-1].startswith("10 files checked: missing 0")
    lines = call("export", "faces", "--format", "profiles", "--out", tmp_path / "out")
    assert lines == ["faces@3: 10 rows written, 0 left out"]
    assert call("tag", "faces@3", "curated")[-1].startswith("faces@3: 10 rows")
    shown = call("show", "faces@curated")
    assert "tags       curated, photos" in shown
    assert any(line.startswith("splits     train ") for line in shown)


def test_repeated_commands_change_nothing(photos: Path) -> None:
    ingest(photos)
    call("split", "faces@photos")
    before = sorted(path.name for path in (open_workspace().workspace / "manifests" / "faces").glob("*.parquet"))
    lines = ingest(photos)
    assert lines[-2:] == [
        "nothing changed; tag photos stays at faces@2",
        "faces@1: 10 rows (ok 10, fallback 0, failed 0, excluded 0)",
    ]
    assert photos_tag() == 2
    assert call("split", "faces@photos")[-1].startswith("faces@2: ")
    assert (
        sorted(path.name for path in (open_workspace().workspace / "manifests" / "faces").glob("*.parquet")) == before
    )


def test_people_keep_their_split_when_photos_are_added(photos: Path) -> None:
    ingest(photos)
    call("split", "faces@photos")
    before = dict(
        zip(*(open_workspace().read("faces").table[name].to_pylist() for name in ("person_id", "split")), strict=True)
    )
    with (photos / "labels.csv").open("a") as file:
        for number in range(10, 40):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(photos / f"{number}.png")
            file.write(f"\n{number}.png,p{number},male,{20 + number}")
    ingest(photos)
    lines = call("split", "faces@photos")
    assert lines[0] == "10 people keep their split; use --reassign to assign all again"
    table = open_workspace().read("faces@4").table
    after = dict(zip(*(table[name].to_pylist() for name in ("person_id", "split")), strict=True))
    assert {name: after[name] for name in before} == before
    assert table["split"].null_count == 0
    assert [parent.split("#")[0] for parent in open_workspace().version("faces@4").parents] == ["faces@3", "faces@2"]
    call("split", "faces@4", "--anew", "--seed", 9)  # the name of --reassign in 0.1.0
    reassigned = dict(
        zip(*(open_workspace().read("faces").table[name].to_pylist() for name in ("person_id", "split")), strict=True)
    )
    assert reassigned != after
    assert call("split", "faces@4", "--reassign", "--seed", 9)[-2].startswith("nothing changed")


def test_ingest_after_corrections_names_the_next_command(photos: Path, tmp_path: Path) -> None:
    ingest(photos)
    version = open_workspace().version("faces")
    row = open_workspace().read("faces").table.to_pylist()[0]
    pinned = f"faces@1#{version.content_hash[:8]}"
    log = tmp_path / "corrections.csv"
    append_correction(log, Correction(pinned, row["sample_id"], row["person_id"], "sample", "age", "20", "21", "me"))
    call("apply", "faces", log)
    (photos / "9.png").unlink()
    hint = "the new version does not contain the corrections of earlier versions; apply them again"
    assert ingest(photos)[-2] == hint
    call("apply", "faces", log)
    assert open_workspace().read("faces").table["age"].to_pylist()[0] == 21
    assert hint not in ingest(photos)
    assert photos_tag() == 4


def test_diff_and_apply_print_json_for_programs(photos: Path, tmp_path: Path) -> None:
    ingest(photos)
    row = open_workspace().read("faces@1").table.to_pylist()[1]
    line = Correction(
        manifest=open_workspace().version("faces@1").pinned, sample_id=row["sample_id"], person_id=row["person_id"],
        scope="person", field="gender", old="female", new="male", annotator="ada", image_sha256=row["sha256"],
    )  # fmt: skip
    append_correction(tmp_path / "ada.csv", line)
    (dry,) = call_for_data("apply", "faces", tmp_path / "ada.csv", "--dry-run", "--json")
    assert json.loads(dry)["rows_changed"] == 1
    assert open_workspace().log("faces")[-1].number == 1
    (applied,) = call_for_data("apply", "faces", tmp_path / "ada.csv", "--json")
    result = json.loads(applied)
    assert (result["ref"], result["is_new"], result["counts"]["applied"], result["open"]) == ("faces@2", True, 1, [])
    (compared,) = call_for_data("diff", "faces@1", "faces@2", "--json")
    result = json.loads(compared)
    assert (result["a"], result["b"], result["rows"]) == ("faces@1", "faces@2", [10, 10])
    change = result["changes"]["gender"]
    assert (change["count"], change["transitions"]) == (1, [["female", "male", 1]])
    assert (change["rows"][0]["old"], change["rows"][0]["new"]) == ("female", "male")
    assert change["rows"][0]["before"]["path"] == row["path"]


def test_failed_rows_are_listed_by_kind(photos: Path) -> None:
    with (photos / "labels.csv").open("a") as file:
        file.write("\nx1.png,a,male,30\nx2.png,b,male,30\n0.png,c,male,900\n")
    lines = ingest(photos)
    assert lines[0] == "3 of 13 rows failed. First row of each kind of reason:"
    assert lines[1] == "      2 × x1.png: ingest: file does not exist"
    assert lines[-1] == "faces@1: 13 rows (ok 10, fallback 0, failed 3, excluded 0)"
    shown = call("show", "faces", "--status", "failed", "--limit", 1)
    assert "x1.png  none male 30  failed  ingest: file does not exist" in shown[0]
    assert shown[1] == "… and 2 more; use --limit to list them"
    assert call("show", "faces", "--status", "excluded") == ["no row of faces@1 has status excluded"]


def test_no_usable_photo_writes_nothing(photos: Path) -> None:
    for path in photos.glob("*.png"):
        path.unlink()
    with pytest.raises(ToolkitError, match=r"none of the 10 photos of .* can be used; nothing was written"):
        ingest(photos)
    assert open_workspace().names() == []
    assert list(open_workspace().roots()) == ["workspace"]


def test_verify_exits_with_1_when_a_file_is_gone(photos: Path) -> None:
    ingest(photos)
    (photos / "4.png").unlink()
    assert call("verify", "faces", code=1)[-1].startswith("10 files checked: missing 1")


def test_another_folder_under_a_known_name_is_refused_until_it_is_moved(photos: Path) -> None:
    ingest(photos)
    moved = photos.rename(photos.with_name("moved"))
    with pytest.raises(ToolkitError, match=rf"choose another --name, or, .* facecurate root faces {moved}"):
        ingest(moved)
    assert call("root", "faces", moved) == [f"faces  {moved}"]
    assert ingest(moved)[-1].startswith("faces@1: ")
    assert call("verify", "faces")[-1].startswith("10 files checked: missing 0")
    assert len(call("root")) == 2
    with pytest.raises(ToolkitError, match=r"root 'other' is not in .*Known: \{workspace, faces\}"):
        call("root", "other")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--layout", "profiles", "--csv", "a"], "--csv requires --layout table. Got --layout profiles instead."),
        (
            ["--layout", "folder", "--mask", "none"],
            "--mask requires --layout table, utkface, imagefolder, label_studio, coco or plain. Got --layout folder",
        ),
        (
            ["--layout", "table", "--map", "file"],
            "an option must have the form --map FIELD=COLUMN. Got 'file' instead.",
        ),
        (["--layout", "table", "--value", "x=y"], "--value must be FIELD:WORD=VALUE, such as mask:Masked=worn"),
        (
            ["--layout", "table", "--age-cuts", "60,30"],
            "age cuts must increase within 0 to 116, such as 30,60. Got 60,30",
        ),
        (["--layout", "table", "--age-cuts", "30"], "age cuts must be two whole numbers such as 30,60. Got '30'"),
        (["--layout", "table"], "Name the column of the paths: --map path=file"),
        (["--layout", "profiles"], "must have a train.csv"),
    ],
)
def test_invalid_options_give_a_one_line_error(photos: Path, options: list[str], message: str) -> None:
    with pytest.raises(ToolkitError) as error:
        call("ingest", photos, "--name", "faces", *options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("ratios", ["train", "train=0,val=0", "train=a"])
def test_invalid_ratios_are_refused(photos: Path, ratios: str) -> None:
    ingest(photos)
    with pytest.raises(ToolkitError, match="--ratios must be shares such as train=8,val=2"):
        call("split", "faces", "--ratios", ratios)


def test_a_new_age_cut_is_a_new_version(photos: Path) -> None:
    ingest(photos)
    assert ingest(photos, "--age-cuts", "45,60")[-1].startswith("faces@2: ")
    lines = call("diff", "faces@1", "faces@2")
    assert "age cuts <30, 30-59, >=60 → <45, 45-59, >=60" in lines
    assert any(line.startswith("age_class  3 changed") for line in lines)
    table = open_workspace().read("faces@2").table
    assert pc.sum(pc.equal(table["age_class"], 0)).as_py() == 5
    assert ingest(photos)[-1].startswith("faces@2: ")  # cuts stay until they are set again


def test_errors_are_one_line_and_exit_with_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "data_manifests", "show", "nobody"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "WORKSPACE": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: manifest 'nobody' is not in")
    assert done.stderr.count("\n") == 1


def test_the_command_line_loads_no_slow_package() -> None:
    """pandas alone takes longer to load than all of the toolkit; Arrow loads it to convert a Python list."""
    code = "import data_manifests.cli, sys; print([n for n in ('pandas', 'sklearn', 'torch') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout.strip() == "[]"


def test_schema_prints_the_page() -> None:
    assert "\n".join(call_for_data("schema")) + "\n" == as_markdown()


@pytest.mark.parametrize("page", ["reference/manifest.md", "reference/cli.md", "reference/settings.md"])
def test_generated_pages_are_up_to_date(page: str) -> None:
    generated = runpy.run_path(str(ROOT / "docs" / "make.py"))["pages"]()
    assert (ROOT / "docs" / page).read_text("utf8") == generated[page], "run: make docs"
