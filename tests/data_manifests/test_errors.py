"""A full disk or denied access is reported in one line; a defect keeps its traceback."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import click
import pytest

from data_manifests.command_line import run
from data_manifests.errors import ManifestError, is_disk_full


def group_raising(error: Exception) -> click.Group:
    @click.group(invoke_without_command=True)
    def group() -> None:
        raise error

    return group


def sqlite_error(path: Path) -> sqlite3.Error:
    """Return the error of SQLite for a folder that does not exist."""
    with pytest.raises(sqlite3.OperationalError) as caught:
        sqlite3.connect(path / "absent" / "results.sqlite")
    return caught.value


@pytest.fixture(autouse=True)
def command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["command"])
    monkeypatch.setenv("WORKSPACE", "/data/ws")


@pytest.mark.parametrize(
    ("code", "file", "line"),
    [
        (errno.ENOSPC, None, "error: /data/ws: no space left on device. Free space "),
        (errno.EROFS, "/data/ws/manifests", "error: /data/ws/manifests: read-only file system. "),
        (errno.EACCES, "/data/ws/cache", "error: /data/ws/cache: permission denied. "),
    ],
)
def test_a_disk_error_is_one_line(code: int, file: str | None, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run(group_raising(OSError(code, "in other words", file)))
    printed = capsys.readouterr().err
    assert stop.value.code == 2
    assert printed.startswith(line)
    assert printed.endswith("or set WORKSPACE to another folder.\n")
    assert printed.count("\n") == 1


def test_a_cache_that_cannot_be_opened_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(group_raising(sqlite_error(tmp_path)))
    assert capsys.readouterr().err.startswith("error: /data/ws: unable to open database file. ")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file", "a/b.csv"), "error: a/b.csv: No such file. "),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x"), "error: x: File name too long. "),
        (IsADirectoryError(errno.EISDIR, "Is a directory"), "error: Is a directory. "),
        (OSError("broken data stream\nof a file"), "error: broken data stream of a file. "),
    ],
)
def test_any_other_os_error_is_one_line(error: OSError, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run(group_raising(error))
    printed = capsys.readouterr().err
    assert stop.value.code == 2
    assert printed.startswith(line)
    assert printed.count("\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf8"])
def test_output_that_the_terminal_cannot_encode_is_replaced(encoding: str) -> None:
    code = (
        "import click; from data_manifests.command_line import echo_json, run\n"
        "@click.group(invoke_without_command=True)\n"
        "def group(): click.echo('photo 한 \\udcff'); echo_json({'name': '한\\udcff'})\n"
        "run(group)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONIOENCODING": encoding}, capture_output=True, check=True
    )
    first, second = done.stdout.splitlines()
    assert first == ("photo ? ?" if encoding == "cp1252" else "photo 한 ?").encode()  # click takes ascii for a mistake
    assert json.loads(second) == {"name": "한\udcff"}


def test_errors_of_the_toolkit_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(group_raising(ManifestError("no such version")))
    assert capsys.readouterr().err == "error: no such version\n"


@pytest.mark.parametrize("defect", [sqlite3.OperationalError("no such column"), KeyError("age")])
def test_a_defect_keeps_its_traceback(defect: Exception) -> None:
    with pytest.raises(type(defect)):
        run(group_raising(defect))


def test_denied_access_is_not_a_full_disk() -> None:
    assert is_disk_full(OSError(errno.ENOSPC, "full"))
    assert not is_disk_full(PermissionError(errno.EACCES, "no"))
