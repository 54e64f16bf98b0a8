"""The main line of the README on a machine that has nothing but the installed packages: no model file, no network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from data_manifests.versions.store import Store
from pipeline.photos.images import save_rgb
from synth.demo_faces.parameters.sampling import sample_person, sample_snapshot
from synth.demo_faces.rendering.portrait import build_model, render_snapshot

pytestmark = [pytest.mark.workers, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = "crop.margin_share=0.3 seed=1 optim.epochs=2"

# Python imports it at the start of every process, workers included.
NO_NETWORK = '''
import errno, os, socket

_connect = socket.socket.connect

def connect(self, address):
    """Refuse connections to other machines, as without a network, and write them down."""
    if self.family == socket.AF_UNIX or str(address[0]) in ("127.0.0.1", "::1", "localhost"):
        return _connect(self, address)
    with open(os.environ["NETWORK_LOG"], "a") as file:
        file.write(f"{address}\\n")
    raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))

def look_up(host, *rest, **more):
    """Resolve no other name than that of this machine."""
    if host in (None, "localhost", "127.0.0.1", "::1", socket.gethostname()):
        return _look_up(host, *rest, **more)
    with open(os.environ["NETWORK_LOG"], "a") as file:
        file.write(f"{host}\\n")
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

_look_up = socket.getaddrinfo
socket.socket.connect = connect
socket.getaddrinfo = look_up
'''


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return the variables of a machine whose home folder is empty and which reaches no other one."""
    (tmp_path / "home").mkdir()
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(NO_NETWORK)
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL", "TMPDIR") if key in os.environ}
    return kept | {
        "HOME": str(tmp_path / "home"),
        "WORKSPACE": str(tmp_path / "workspace"),
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(ROOT)]),
        "NETWORK_LOG": str(tmp_path / "network.log"),
        "OMP_NUM_THREADS": "1",
    }


def run(environment: dict[str, str], *command: str, code: int = 0) -> tuple[str, str]:
    """Return what a command has printed: stdout and stderr."""
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stdout[-1000:] + done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def make(environment: dict[str, str], *words: str, code: int = 0) -> tuple[str, str]:
    """Run targets with this Python, without installing anything."""
    return run(environment, "make", "-o", "setup", f"PY={sys.executable}", "DATASET=faces", *words, code=code)


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_the_main_line_ends_in_a_report(environment: dict[str, str], tmp_path: Path) -> None:
    facecurate = (sys.executable, "-m", "facecurate")
    photos = tmp_path / "photos"
    run(environment, *facecurate, "synth", "demo", str(photos), "--persons", "10", "--seed", "2")
    run(environment, *facecurate, "ingest", str(photos), "--layout", "profiles", "--name", "faces")
    _, refused = make(environment, "preprocess", code=2)
    assert "no row has a split" in refused.splitlines()[0]  # before any picture is read
    run(environment, *facecurate, "split", "faces@photos")
    _, refused = make(environment, "preprocess", "synth", "train", "SET=crpo.when=never", code=2)
    assert "a setting of preprocess, synth, train must be one of" in refused
    assert "Got 'crpo' instead" in refused

    printed, _ = make(environment, "preprocess", "synth", "train", f"SET={SETTINGS}")

    lines = printed.splitlines()
    store = Store(tmp_path / "workspace")
    versions = store.log("faces")
    crop = next(version.parameters["crop"] for version in versions if version.operation == "prepare")
    assert (crop["margin_share"], crop["when"]) == (0.3, "always")
    removal = next(version.parameters["background"] for version in versions if version.operation == "background")
    assert removal["backend"] == "grabcut"
    (choice,) = (line for line in lines if line.startswith("background: GrabCut"))
    for word in ("u2net.onnx", "176 MB", "Apache-2.0", "https://github.com/danielgatis/rembg/releases", str(tmp_path)):
        assert word in choice
    assert any(line.startswith("drop-ages: excluded") and "57-59" in line for line in lines)
    assert len([line for line in lines if line.startswith("next: ")]) == 1
    assert lines[-1].startswith("next: ")
    (report,) = (tmp_path / "workspace" / "runs").glob("*/report.html")
    assert "faces@" in report.read_text("utf8")
    assert any(line.startswith("start: a head on the packaged face embedding") for line in lines)
    log = Path(environment["NETWORK_LOG"])
    asked = set(log.read_text().split()) if log.exists() else set()
    assert asked <= {"huggingface.co"}  # `pretrained: auto` looks whether it can be reached, once
    assert not [path for path in (tmp_path / "home").rglob("*") if path.suffix in (".onnx", ".safetensors", ".pt")]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_a_set_without_a_known_mask_is_trained_all_the_same(environment: dict[str, str], tmp_path: Path) -> None:
    crops = tmp_path / "crops"
    for number in range(24):
        age, gender = (22, 45, 71)[number % 3], number // 3 % 2
        rng = np.random.default_rng(number)
        model = build_model(sample_person(number, ("male", "female")[gender], age, rng))
        picture = cv2.resize(
            render_snapshot(model, sample_snapshot(rng)).image, (200, 200), interpolation=cv2.INTER_AREA
        )
        save_rgb(picture, crops, f"{age}_{gender}_0_{20170101 + number}.jpg")
    facecurate = (sys.executable, "-m", "facecurate")
    run(environment, *facecurate, "ingest", str(crops), "--layout", "utkface", "--name", "faces")
    run(environment, *facecurate, "split", "faces@photos")
    words = f"{SETTINGS.replace('crop.margin_share=0.3', 'crop.when=never')} background.backend=none"

    printed, _ = make(environment, "preprocess", "synth", "train", f"SET={words}")

    lines = printed.splitlines()
    store = Store(tmp_path / "workspace")
    balanced = store.version("faces@balanced")
    assert balanced.ref == store.version("faces@preprocessed").ref
    (told,) = (line for line in lines if line.startswith("nothing to balance"))
    assert f"{balanced.ref} stays as it is" in told
    assert "ingest with --mask none" in told
    (report,) = (tmp_path / "workspace" / "runs").glob("*/report.html")
    assert balanced.ref in report.read_text("utf8")
    assert lines[-1].startswith("next: ")


def test_the_settings_of_a_call_are_given_to_the_stages_that_have_them(environment: dict[str, str]) -> None:
    words = ["crop.margin_share=0.2", "seed=3", "optim.epochs=2"]
    command = (sys.executable, "-m", "facecurate", "settings", "preprocess", "synth", "train", *words, "--only")
    assert run(environment, *command, "preprocess")[0].split() == ["crop.margin_share=0.2"]
    assert run(environment, *command, "synth")[0].split() == ["seed=3"]
    assert run(environment, *command, "train")[0].split() == ["seed=3", "optim.epochs=2"]
