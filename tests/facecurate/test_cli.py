"""The command `facecurate`: its table, its start-up, what it completes and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from facecurate import __version__
from facecurate.app import app_folder
from facecurate.cli import RUN, TABLE, cli
from facecurate.lazy_group import Entry, LazyGroup, resolve

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = {name: entry for section in TABLE.values() for name, entry in section.items()}
HEAVY = ("torch", "cv2", "pandas", "pyarrow", "numpy", "streamlit", "sklearn", "PIL", "data_manifests")


def facecurate(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "facecurate", *words],
        cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_help_lists_every_command_with_its_help() -> None:
    shown = CliRunner().invoke(cli, ["--help"], terminal_width=110).output
    lines = {" ".join(line.split()) for line in shown.splitlines()}
    assert {f"{name} {entry.help}" for name, entry in ENTRIES.items()} <= lines


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["completion", "bash"]])
def test_nothing_heavy_is_imported_for(words: list[str]) -> None:
    code = (
        "import atexit, json, sys\n"
        f"atexit.register(lambda: print(json.dumps([name for name in {HEAVY} if name in sys.modules])))\n"
        f"from facecurate.cli import main\nsys.argv = ['facecurate', *{words}]\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []


@pytest.mark.parametrize("name", [name for name in ENTRIES if name != "train"])
def test_an_entry_is_a_command(name: str) -> None:
    assert isinstance(ENTRIES[name].load(), click.Command)


def test_train_is_prepared_before_torch_is_there() -> None:
    code = (
        "import os, sys\nfrom facecurate.cli import TABLE\nfrom facecurate import lazy_group\n"
        "entry = TABLE['Stages']['train']\nlazy_group.resolve(entry.prepare)()\n"
        "print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)\nprint(type(entry.load()).__name__)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["passive", "False", "Group"]


def test_the_error_handler_is_where_the_table_looks_for_it() -> None:
    assert callable(resolve(RUN))


def test_the_version_is_that_of_the_package() -> None:
    assert CliRunner().invoke(cli, ["--version"]).output == f"facecurate, version {__version__}\n"


def test_a_misspelt_command_gets_a_suggestion() -> None:
    done = facecurate("adit")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "Error: No such command 'adit'. Did you mean 'audit'?"


def test_an_error_of_a_command_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    words = ("ingest", str(tmp_path / "photos"), "--layout", "folder", "--name", "faces")
    done = facecurate(*words, WORKSPACE=str(tmp_path / "workspace"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_is_a_script(shell: str) -> None:
    done = facecurate("completion", shell)
    assert done.returncode == 0
    assert done.stdout.startswith("# ")
    assert f"_FACECURATE_COMPLETE={shell}_complete" in done.stdout


def test_completion_of_another_shell_is_refused() -> None:
    done = facecurate("completion", "tcsh")
    assert done.returncode == 2
    assert "'tcsh' is not one of 'bash', 'zsh'" in done.stderr


@pytest.mark.parametrize(
    ("words", "found"),
    [("facecurate in", ["ingest"]), ("facecurate schema --h", ["--help"]), ("facecurate completion z", ["zsh"])],
)
def test_bash_completes(words: str, found: list[str]) -> None:
    last = str(len(words.split()) - 1)
    # click takes the program's name from argv[0], as the installed script sets it
    code = "import sys; sys.argv = ['facecurate']; from facecurate.cli import main; main()"
    environment = os.environ | {"_FACECURATE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": last}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert [line.partition(",")[2] for line in done.stdout.splitlines()] == found


def test_a_lazy_group_imports_the_named_command_only(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Entry] = []
    group = click.Group("tool", commands={"leaf": click.Command("leaf", callback=lambda: click.echo("called"))})
    monkeypatch.setattr(Entry, "load", lambda self: loaded.append(self) or group)
    table = {"Section": {"one": Entry("absent:one", "First."), "two": Entry("absent:two", "Second.")}}
    lazy = LazyGroup(table=table)
    assert "First." in CliRunner().invoke(lazy, ["--help"]).output
    assert loaded == []
    assert CliRunner().invoke(lazy, ["two", "leaf"]).output == "called\n"
    assert loaded == [table["Section"]["two"]]


def test_the_app_is_found_where_it_is_installed() -> None:
    assert (app_folder() / "streamlit_app.py").is_file()


def test_the_app_gets_the_workspace_and_the_options_of_streamlit(monkeypatch: pytest.MonkeyPatch) -> None:
    import streamlit.web.cli

    calls: list[tuple[list[str], str]] = []
    monkeypatch.setattr(streamlit.web.cli, "main", lambda words, prog_name: calls.append((words, prog_name)))
    monkeypatch.setenv("WORKSPACE", "from-environment")
    words = ["app", "--workspace", "mine", "--server.port", "8600", "--server.headless", "false"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    options = ["--server.port", "8600", "--server.headless", "false"]
    assert calls == [(["run", str(app_folder()), *options], "facecurate app")]
    assert os.environ["WORKSPACE"] == str(Path("mine").absolute())


def test_nothing_imports_facecurate_but_itself() -> None:
    packages = ("data_manifests", "pipeline", "reporting", "audit", "preprocess", "synth", "train", "curation_app")
    files = [file for package in packages for file in (ROOT / package).rglob("*.py")]
    assert [
        file for file in files if "import facecurate" in (text := file.read_text("utf8")) or "from facecurate" in text
    ] == []
