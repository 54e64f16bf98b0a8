"""Settings, backends and weights: every wrong word is answered with the right ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import Field

from data_manifests.errors import BackendError, ConfigError
from pipeline.backends import BACKENDS, load_backend
from pipeline.cli import cli
from pipeline.settings import Settings, load_settings
from pipeline.weights import WEIGHTS, Weights


class Inner(Settings):
    name: str = "mtcnn"
    ages: tuple[int, ...] = (57, 58, 59)


class Outer(Settings):
    inner: Inner = Inner()
    jobs: int = Field(default=2, ge=1)


def test_words_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("mine:\n  jobs: 3\n  inner: {name: haar}\nother: {x: 1}\n")
    read = load_settings(Outer, file, {"inner.ages": "[58]"}, section="mine")
    assert read == Outer(jobs=3, inner=Inner(name="haar", ages=(58,)))
    assert load_settings(Outer) == Outer()
    assert load_settings(Outer, overrides={"inner.name": ""}).inner.name == ""


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"jbos": "1"}, r"setting must be one of \{inner, jobs\}. Got 'jbos' instead"),
        ({"inner.nmae": "x"}, r"setting must be one of \{name, ages\}. Got 'inner.nmae' instead"),
        ({"jobs": "0"}, r"setting 'jobs': Input should be greater than or equal to 1. Got 0 instead"),
        ({"jobs": "many"}, r"setting 'jobs': .*Got 'many' instead"),
        ({"jobs": "3", "jobs.x": "1"}, r"setting 'jobs' is a single value"),
    ],
)
def test_a_wrong_setting_names_the_right_ones(overrides: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings(Outer, overrides=overrides)


def test_a_settings_file_that_is_not_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_settings(Outer, tmp_path / "none.yaml")
    (tmp_path / "a.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_settings(Outer, tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text("just text")
    with pytest.raises(ConfigError, match="must hold `key: value` lines"):
        load_settings(Outer, tmp_path / "b.yaml")


def test_an_unknown_backend_lists_the_choices() -> None:
    with pytest.raises(BackendError, match=r"detector must be one of \{.*mtcnn.*\}. Got 'yolo' instead"):
        load_backend("detector", "yolo")


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in BACKENDS.items() for name in names])
def test_every_backend_in_the_table_loads(kind: str, name: str) -> None:
    backend = load_backend(kind, name)
    assert backend.version.startswith(f"{name}@")
    assert callable(backend.make)


def test_absent_weights_say_the_file_the_place_and_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    with pytest.raises(BackendError, match=rf"u2net\.onnx .176 MB, .*md5 6002.* into {tmp_path}, or choose grabcut"):
        WEIGHTS["u2net"].require(instead="grabcut")
    (tmp_path / "u2net.onnx").write_bytes(b"x")
    assert WEIGHTS["u2net"].require() == tmp_path / "u2net.onnx"
    with pytest.raises(BackendError, match="Run: make setup"):
        Weights("a", "a.pt", "", "", package="no-such-package").require()


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables", [("U2NET_HOME",), ("XDG_DATA_HOME",), ("REMBG_HOME",), ("XDG_DATA_HOME", "REMBG_HOME"), ()]
)
@pytest.mark.parametrize("layout", ["rembg", "legacy"])
def test_weights_are_found_where_rembg_finds_them(
    variables: tuple[str, ...], layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rembg.sessions.u2netp import U2netpSession

    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("U2NET_HOME", "XDG_DATA_HOME", "REMBG_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in variables:
        monkeypatch.setenv(name, str(tmp_path / name))
    assert WEIGHTS["u2netp"].locate() is None
    theirs = U2netpSession.model_dir() if layout == "rembg" else U2netpSession.legacy_home()
    file = Path(theirs) / "u2netp.onnx"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    assert WEIGHTS["u2netp"].locate() == file == Path(U2netpSession.resolve_existing("u2netp.onnx"))


def test_the_list_of_weights_shows_what_is_here_and_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    (tmp_path / "u2netp.onnx").write_bytes(b"x")
    lines = {line.split()[0]: line.split()[1] for line in CliRunner().invoke(cli, ["weights"]).output.splitlines()}
    assert (lines["u2net"], lines["u2netp"], lines["dlib68"]) == ("absent", "DIFFERENT", "here")


@pytest.mark.parametrize(
    ("text", "section", "message"),
    [
        ("mine: 3", "mine", "section 'mine' of settings file .* must hold `key: value` lines. Got 3 instead"),
        ("mine: [1, 2]", "mine", "section 'mine'"),
        ("mine: 2026-01-01", "mine", "section 'mine'"),
        ("variants: 3", None, "section 'variants'"),
        ("1: 2", None, "a key must be text. Got 1 instead"),
        ("jobs: 2026-01-01", None, "Got '2026-01-01' instead"),
        (f"jobs: {'[' * 5000}", None, "nested too deeply"),
        ("a: &a [*a]", None, "contains itself"),
        ("jobs: &j {x: *j}", None, "contains itself"),
        ("jobs: " + "9" * 9999, None, "is not YAML"),
        ("inner: [" + "x, " * 9000 + "]", None, "setting 'inner'"),
        ("jobs: 2\njobs: 3", None, "the key 'jobs' repeats"),
    ],
)
def test_hostile_settings_files_are_one_short_line(
    text: str, section: str | None, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        load_settings(Outer, file, section=section)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 900


def test_hostile_variants_and_folders_are_one_line(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("variants: {one: 3}")
    with pytest.raises(ConfigError, match="variant 'one'"):
        load_settings(Outer, Path(f"{file}#one"))
    with pytest.raises(ConfigError, match="is a folder"):
        load_settings(Outer, tmp_path)


@pytest.mark.parametrize(
    "text", ["[", "{a", "*x", "&", "!!python/none", '"', "- a: [", "\0", "[" * 5000, "9" * 9999, "@"]
)
def test_a_value_that_is_no_yaml_is_one_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"jobs") as error:
        load_settings(Outer, overrides={"jobs": text})
    assert "\n" not in str(error.value)
