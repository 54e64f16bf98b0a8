"""The start of a network: weights on this machine, from the hub, or a head on the packaged face embedding."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from huggingface_hub import constants

from data_manifests.errors import BackendError, StageError
from data_manifests.versions.store import Store
from tests.support.partial_sets import write_partial
from tests.support.train_drawn import write_people
from train.cli.main import cli
from train.settings import load_train_settings
from train.start import EMBEDDING, choose_start

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs" / "train"


@pytest.fixture(autouse=True)
def no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Set an empty cache of the hub, and no connection to it."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


@pytest.mark.parametrize("config", [None, CONFIGS / "default.yaml"])
def test_without_weights_a_head_on_the_embedding_is_trained_and_it_says_so(config: Path | None) -> None:
    messages: list[str] = []
    settings = choose_start(config, {"seed": "4", "optim.epochs": "2"}, messages.append)
    assert (settings.model.embedding, settings.model.pretrained, settings.seed) == ("dlib", False, 4)
    assert (settings.optim.epochs, settings.optim.lr, settings.data.augment) == (2, 0.003, {})
    text = " ".join(messages)
    assert "start: a head on the packaged face embedding (model.embedding=dlib)" in text
    for part in (
        "model.safetensors (47 MB, Apache-2.0)",
        "/timm/resnet18.a1_in1k",
        "snapshots/main",
        "pretrained=true",
    ):
        assert part in text


def test_the_settings_of_the_embedding_are_those_of_the_file() -> None:
    start = load_train_settings(None, {**EMBEDDING, "model.pretrained": "false"})
    assert start == load_train_settings(CONFIGS / "embedding.yaml")


def test_weights_on_this_machine_are_taken(no_weights: Path) -> None:
    file = no_weights / "models--timm--resnet18.a1_in1k" / "snapshots" / "main" / "model.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"")
    messages: list[str] = []
    settings = choose_start(None, {}, messages.append)
    assert (settings.model.embedding, settings.model.pretrained) == ("", True)
    assert str(file) in messages[0]


@pytest.mark.parametrize("override", ["model.backbone", "data.augment.flip", "model.pretrained"])
def test_settings_of_pictures_ask_for_weights(override: str) -> None:
    value = {"model.backbone": "resnet50", "data.augment.flip": "0.5", "model.pretrained": "true"}[override]
    with pytest.raises(BackendError, match=r"pretrained weights of 'resnet\d\d' are not in .*model\.embedding=dlib"):
        choose_start(None, {override: value}, lambda line: None)


def test_from_scratch_needs_nothing() -> None:
    settings = choose_start(None, {"model.pretrained": "false"}, lambda line: pytest.fail(line))
    assert (settings.model.embedding, settings.model.pretrained) == ("", False)


def test_an_embedding_without_landmarks_names_the_command(store: Store) -> None:
    write_people(store, train=6, val=6)
    with pytest.raises(
        StageError,
        match=r"needs landmarks, and drawn@1 has none\. Run: facecurate preprocess detect drawn@1, then "
        r"facecurate preprocess landmarks drawn ",
    ):
        CliRunner().invoke(cli, ["fit", "drawn"], env={"WORKSPACE": str(store.workspace)}, catch_exceptions=False)
    assert not (store.workspace / "runs").exists()


def write_unsuitable(store: Store) -> None:
    """Write none@1 without labels, plain@1 without a split, and masks@1 and masks@2 without landmarks."""
    write_partial(store, "none", name="none")
    write_partial(store, "mask", name="plain", split=False)
    first = write_partial(store, "mask", name="masks")
    store.write("masks", store.read(first.ref).table, "split", parents=[first])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fit", "none", "model.pretrained=false"], "none@1: none of the 27 rows in train has a label"),
        (["fit", "plain", "model.pretrained=false"], "plain@1 has no split. Run: facecurate split plain@1"),
        (["fit", "masks@1", "model.embedding=dlib"], "facecurate preprocess detect masks@1, then"),
        (["folds", "masks@1", "model.embedding=dlib"], "facecurate preprocess detect masks@1, then"),
        (["compare", "masks@1", "masks@2", "model.embedding=dlib"], "facecurate preprocess detect masks@1, then"),
    ],
)
def test_what_a_manifest_lacks_is_reported_before_torch_is_loaded(store: Store, words: list[str], message: str) -> None:
    write_unsuitable(store)
    code = (
        "import sys\nfrom train.cli import cli\nfrom data_manifests.errors import ToolkitError\n"
        "try:\n    cli(sys.argv[1:], standalone_mode=False)\n"
        "except ToolkitError as error:\n    print(error, 'torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env=os.environ | {"WORKSPACE": str(store.workspace)}, cwd=ROOT,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert message in done.stdout
    assert done.stdout.strip().endswith("False")


def test_fit_ends_with_the_next_command(store: Store) -> None:
    write_partial(store, "mask")
    words = ["fit", "partial", "model.backbone=test_resnet", "model.pretrained=false", "data.size=[32, 32]",
             "threads=1", "optim.epochs=1", "tracker=none"]  # fmt: skip
    environment = {"WORKSPACE": str(store.workspace)}
    done = CliRunner().invoke(cli, words, env=environment, catch_exceptions=False)
    assert (
        done.stdout.splitlines()[-1] == "next: facecurate train predict partial-0001 partial@1 --out partial-0001.csv"
    )
    assert done.stderr.startswith("train: partial@1, 36 rows; loading torch\n")
    printed = CliRunner().invoke(cli, [*words, "--json"], env=environment, catch_exceptions=False)
    assert len(printed.stdout.splitlines()) == 1
