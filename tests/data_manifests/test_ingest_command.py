"""The command `ingest` without `--layout`: what it prints, default names, options over the detection, splits."""

from __future__ import annotations

import shlex
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner

from data_manifests.cli import cli, default_name
from data_manifests.errors import ToolkitError
from data_manifests.versions import Store
from tests.support.photo_folders import draw, write_lines


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("WORKSPACE", str(tmp_path / "workspace"))
    return Store(tmp_path / "workspace")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six photos with a CSV whose column names and mask words are its own; two of them have no gender."""
    folder = tmp_path / "Meine Fotos"
    lines = ["photo,sex,wearing,fold"]
    for number in range(6):
        draw(folder / "images" / f"{number}.jpg", number)
        lines.append(f"{number}.jpg,{'mf?'[number % 3]},{('on', 'off')[number % 2]},{number}")
    write_lines(folder / "labels.csv", *lines)
    return folder


def run(*words: object) -> list[str]:
    """Run a command and return the lines it prints. A ToolkitError is raised."""
    result = CliRunner().invoke(cli, [str(word) for word in words])
    if isinstance(result.exception, ToolkitError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_a_folder_alone_is_enough(store: Store, photos: Path) -> None:
    lines = run("ingest", photos)
    assert lines[0] == f"{photos}: layout table"
    assert (
        lines[1] == "  seen: labels.csv has the columns photo (path), sex (gender), wearing, fold; 6 of 6 paths exist"
    )
    assert "  also possible: --layout plain" in lines
    assert lines[-2:] == [
        "Meine-Fotos@1: 6 rows (ok 6, fallback 0, failed 0, excluded 0)",
        "next: facecurate split Meine-Fotos@1",
    ]
    rows = store.read("Meine-Fotos").table
    assert rows["gender"].to_pylist() == ["male", "female", None] * 2
    assert rows["mask"].null_count == 6
    assert rows["x_wearing"].to_pylist() == ["on", "off"] * 3
    assert store.version("Meine-Fotos").parameters["layout"] == "table"


def test_the_printed_command_gives_the_same_version(store: Store, photos: Path) -> None:
    lines = run("ingest", photos)
    (command,) = (line.partition("same as: ")[2] for line in lines if "same as: " in line)
    again = run(*shlex.split(command)[1:])
    assert again[-3] == "nothing changed; tag photos stays at Meine-Fotos@1"
    assert len(store.log("Meine-Fotos")) == 1


def test_options_win_over_the_detection(store: Store, photos: Path) -> None:
    words = ("--map", "mask=wearing", "--value", "mask:on=worn", "--value", "mask:off=none", "--map", "gender=")
    run("ingest", photos, *words)
    rows = store.read("Meine-Fotos").table
    assert rows["mask"].to_pylist() == ["worn", "none"] * 3
    assert rows["gender"].null_count == 6
    assert store.version("Meine-Fotos").parameters["map"] == ["path=photo", "gender=", "mask=wearing"]
    run("ingest", photos, "--layout", "plain", "--name", "bare", "--mask", "none")
    assert store.read("bare").table["mask"].to_pylist() == ["none"] * 6
    with pytest.raises(ToolkitError, match=r"--annotations requires --layout label_studio or coco\. Got"):
        run("ingest", photos, "--annotations", "a.json")


def test_a_csv_is_a_source(store: Store, photos: Path) -> None:
    assert run("ingest", photos / "labels.csv")[0] == f"{photos}: layout table"
    words = ("--layout", "table", "--map", "path=photo", "--images", "images")
    run("ingest", photos / "labels.csv", *words)
    assert len(store.log("Meine-Fotos")) == 2
    assert store.version("Meine-Fotos").parameters["csv"] == "labels.csv"


def test_unknown_words_are_listed_with_the_options_that_translate_them(store: Store, photos: Path) -> None:
    words = ("--layout", "table", "--map", "path=photo", "--images", "images", "--map", "mask=wearing")
    with pytest.raises(ToolkitError) as error:
        run("ingest", photos, *words)
    assert str(error.value) == (
        "column 'wearing' has words that are no mask: 'on' (3), 'off' (3). Translate them, for example: "
        "--value mask:off=none --value mask:on=worn; or leave it unread: --map mask="
    )
    result = CliRunner().invoke(cli, ["ingest", str(photos), *words, "--value", "mask:on=worn"])
    assert result.exit_code == 0
    assert "3 of 6 rows failed" in result.stdout
    assert store.names() == ["Meine-Fotos"]


def test_names_are_made_from_the_folder(store: Store, tmp_path: Path) -> None:
    for folder, name in (
        ("a/Fotos 2024!", "Fotos-2024"),
        ("b/Fotos 2024!", "Fotos-2024-2"),
        ("사진", "faces"),
        ("_x", "x"),
    ):
        draw(tmp_path / folder / "a.jpg")
        assert default_name(store, tmp_path / folder) == name
        run("ingest", tmp_path / folder)
        assert default_name(store, tmp_path / folder) == name
    assert store.names() == ["Fotos-2024", "Fotos-2024-2", "faces", "x"]


def test_an_existing_split_is_kept_by_the_command_split(store: Store, tmp_path: Path) -> None:
    for number, split in enumerate(("train", "train", "valid", "test")):
        draw(tmp_path / "set" / split / f"{'worn' if number % 2 else 'none'}" / f"{number}.jpg", number)
    assert run("ingest", tmp_path / "set")[-1] == "next: facecurate audit run set@1 --tag photos"
    rows = store.read("set").table
    before = dict(zip(rows["path"].to_pylist(), rows["split"].to_pylist(), strict=True))
    assert before == {
        "train/none/0.jpg": "train", "train/worn/1.jpg": "train", "valid/none/2.jpg": "val", "test/worn/3.jpg": "test",
    }  # fmt: skip
    assert run("split", "set@photos")[-3] == "nothing changed; tag photos stays at set@1"


def test_a_division_without_validation_takes_it_from_train(store: Store, tmp_path: Path) -> None:
    for number in range(12):
        draw(tmp_path / "set" / ("test" if number < 2 else "train") / f"{number}.jpg", number)
    assert run("ingest", tmp_path / "set")[-1] == "next: facecurate split set@1"
    lines = run("split", "set@photos")
    assert "no photo is in val: its share is taken from train" in lines
    assert {"test         2 people         2 rows", "val          2 people         2 rows"} <= set(lines)
    assert run("split", "set@1")[-2].startswith("set@2: ")
    before = store.read("set@2").table
    draw(tmp_path / "set" / "train" / "new.jpg", 99)
    run("ingest", tmp_path / "set")
    run("split", "set@photos")
    after = store.read("set").table
    assert after.num_rows == 13
    known = dict(zip(after["path"].to_pylist(), after["split"].to_pylist(), strict=True))
    assert [known[path] for path in before["path"].to_pylist()] == before["split"].to_pylist()


def test_validation_is_taken_also_from_a_later_version_of_such_a_division(store: Store, tmp_path: Path) -> None:
    for number in range(12):
        draw(tmp_path / "set" / ("test" if number < 2 else "train") / f"{number}.jpg", number)
    run("ingest", tmp_path / "set")
    first = store.read("set@1")
    changed = first.table.set_column(
        first.table.column_names.index("audit_rank"), "audit_rank", pa.array(range(1, 13), pa.int32())
    )
    store.write("set", changed, "audit", parents=[first.version])
    lines = run("split", "set@2")
    assert {"test         2 people         2 rows", "val          2 people         2 rows"} <= set(lines)
    given = dict(zip(first.table["path"].to_pylist(), first.table["split"].to_pylist(), strict=True))
    after = store.read("set@3").table
    kept = dict(zip(after["path"].to_pylist(), after["split"].to_pylist(), strict=True))
    assert {path for path, split in kept.items() if split == "test"} == {p for p in given if given[p] == "test"}


def test_the_printed_command_has_the_options_that_were_given(store: Store, tmp_path: Path) -> None:
    for number in range(3):
        draw(tmp_path / "set" / f"2{number}_{number % 2}_0_20170109{number:09d}.jpg", number)
    lines = run("ingest", tmp_path / "set", "--mask", "none")
    (command,) = (line.partition("same as: ")[2] for line in lines if "same as: " in line)
    assert command.endswith("--layout utkface --mask none")
    assert not any("--mask none" in line for line in lines if "note:" in line)
    assert "  name: set (--name gives another one)" in lines
    run(*shlex.split(command)[1:])
    assert len(store.log("set")) == 1


def test_a_person_in_two_splits_is_ingested_and_split_names_the_remedy(store: Store, tmp_path: Path) -> None:
    for number, folder in enumerate(("train/Ada", "test/Ada", "train/Bob", "train/Bob")):
        draw(tmp_path / "set" / folder / f"{folder[-3:]}_{number}.jpg", number)
    run("ingest", tmp_path / "set")
    assert store.read("set").table["person_id"].to_pylist() == ["Ada", "Ada", "Bob", "Bob"]
    with pytest.raises(ToolkitError, match="facecurate split set@photos --reassign"):
        run("split", "set@photos")
    run("split", "set@photos", "--reassign")
    assert store.read("set").table["split"].null_count == 0


def test_a_split_column_of_a_table(store: Store, tmp_path: Path) -> None:
    for number in range(3):
        draw(tmp_path / "set" / f"{number}.jpg", number)
    rows = ("0.jpg,Train", "1.jpg,dev", "2.jpg,")
    write_lines(tmp_path / "set" / "l.csv", "path,split", *rows)
    run("ingest", tmp_path / "set", "--layout", "table")
    table = store.read("set").table
    assert table["split"].to_pylist() == ["train", "val", None]
    assert "x_split" not in table.column_names
    write_lines(tmp_path / "set" / "l.csv", "path,split", "0.jpg,gallery", "1.jpg,train")
    run("ingest", tmp_path / "set", "--layout", "table")
    table = store.read("set").table
    assert (table["split"].null_count, table["x_split"].to_pylist()) == (2, ["gallery", "train"])


def test_a_folder_without_photos_writes_nothing(store: Store, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.jpg").write_text("no picture")
    with pytest.raises(ToolkitError, match=r"none of the 1 photos .* was written\. 1 × a\.jpg: ingest: is not a"):
        run("ingest", tmp_path / "set")
    (tmp_path / "set" / "a.jpg").unlink()
    with pytest.raises(ToolkitError, match="contains no photo"):
        run("ingest", tmp_path / "set")
    assert store.names() == []
