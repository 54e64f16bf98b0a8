"""Pretrained weights: loaded from this machine without the hub, or refused at once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from data_manifests.errors import BackendError
from tests.support.train_drawn import tiny_settings
from train.models.network import build_model
from train.pretrained_weights import cached_files, hub_is_reachable, require_weights

ROOT = Path(__file__).parents[2]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "hub"


def put_weights(cache: Path) -> dict[str, torch.Tensor]:
    """Write weights of test_resnet where timm would download them to."""
    torch.manual_seed(5)
    weights = timm.create_model("test_resnet").state_dict()
    folder = cache / "models--timm--test_resnet.r160_in1k" / "snapshots" / "0123"
    folder.mkdir(parents=True)
    save_file(weights, folder / "model.safetensors")
    return weights


def test_the_error_without_weights_and_network_lists_the_alternatives(cache: Path) -> None:
    with pytest.raises(
        BackendError, match=r"'resnet18' are not in .*hub and hub\.invalid cannot be .*pretrained=false"
    ):
        require_weights("resnet18")
    with pytest.raises(BackendError, match=r"hub\.invalid cannot be reached"):
        build_model(tiny_settings(model={"backbone": "resnet18", "pretrained": True}).model, (32, 32))


def test_weights_on_this_machine_are_used_without_the_hub(cache: Path) -> None:
    weights = put_weights(cache)
    require_weights("test_resnet")
    assert [file.name for file in cached_files("test_resnet.r160_in1k")] == ["model.safetensors"]
    assert cached_files("test_resn") == []
    model = build_model(tiny_settings(model={"pretrained": True}).model, (32, 32))
    state = model.backbones[0].state_dict()
    assert all(torch.equal(state[key], weights[key]) for key in weights if not key.startswith("fc"))
    assert state["fc.weight"].shape[0] == 18
    assert model.mean.flatten().tolist() == [0.5, 0.5, 0.5]


def test_a_broken_file_is_reported(cache: Path) -> None:
    put_weights(cache)
    cached_files("test_resnet")[0].write_bytes(b"not weights")
    with pytest.raises(BackendError, match="backbone 'test_resnet' cannot be created"):
        build_model(tiny_settings(model={"pretrained": True}).model, (32, 32))


def test_a_hub_or_a_proxy_that_answers_is_reachable(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert not hub_is_reachable()
        monkeypatch.setenv("https_proxy", f"http://{address}")
        assert hub_is_reachable()
        monkeypatch.delenv("https_proxy")
        monkeypatch.setattr(constants, "ENDPOINT", f"http://{address}")
        assert hub_is_reachable()
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert not hub_is_reachable()


def test_a_silent_name_server_is_not_waited_for(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def never(*_: object, **__: object) -> None:
        release.wait(60)
        raise OSError

    monkeypatch.setattr("train.pretrained_weights.socket.create_connection", never)
    try:
        assert not hub_is_reachable()
        assert not release.is_set()
    finally:
        release.set()


def test_the_command_refuses_before_torch_is_loaded(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['train', 'fit', 'x', 'model.pretrained=true']\n"
        "from data_manifests.command_line import run; from train.cli.main import cli\n"
        "try: run(cli)\n"
        "finally: assert 'torch' not in sys.modules"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "WORKSPACE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: pretrained weights of 'resnet18' are not in")
    assert done.stderr.count("\n") == 1
