"""The real background removers, on a photo (scikit-image's astronaut) and on rendered people."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from skimage.data import astronaut

from data_manifests.errors import BackendError
from pipeline.faces.backends import mtcnn
from pipeline.weights import WEIGHTS
from preprocess.backends import grabcut, rembg_remover
from synth.demo_faces.rendering.portrait import Portrait
from tests.support.portraits import portrait_images, rendered_portraits

pytestmark = pytest.mark.usefixtures("one_torch_thread")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def rendered() -> list[Portrait]:
    return rendered_portraits()


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return portrait_images()


# GrabCut -----------------------------------------------------------------------------------------------------------
def test_grabcut_keeps_the_face_and_removes_the_corners(pictures: list[np.ndarray]) -> None:
    detect, remove = mtcnn.make(), grabcut.make()
    for picture in pictures:
        box = detect(picture).boxes_xyxy[0]
        alpha = remove(picture, box)
        assert alpha.shape == picture.shape[:2]
        assert alpha.dtype == np.float32
        assert 0 <= alpha.min() <= alpha.max() <= 1
        x0, y0, x1, y1 = box.round().astype(int).clip(0)
        assert alpha[y0:y1, x0:x1].mean() > 0.85
        assert alpha[: max(y0 // 3, 1), : max(x0 // 3, 1)].mean() < 0.1


def test_grabcut_is_repeatable_and_needs_no_box() -> None:
    picture = astronaut()[:256, 96:352]
    remove = grabcut.make()
    assert np.array_equal(remove(picture, None), remove(picture, None))


def test_grabcut_of_a_picture_that_is_all_face() -> None:
    assert grabcut.make()(astronaut()[60:180, 180:280], np.array([-50, -60, 160, 190], np.float32)).min() > 0.9


# rembg -------------------------------------------------------------------------------------------------------------
def write_brightness_model(path: Path) -> None:
    """A network with u2net's shapes, (1, 3, 320, 320) → (1, 1, 320, 320), whose answer is the mean of the channels."""
    shape = ["N", 3, 320, 320]
    node = onnx.helper.make_node("ReduceMean", ["image"], ["mask"], axes=[1], keepdims=1)
    image = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, shape)
    mask = onnx.helper.make_tensor_value_info("mask", onnx.TensorProto.FLOAT, ["N", 1, 320, 320])
    graph = onnx.helper.make_graph([node], "brightness", [image], [mask])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def test_rembg_runs_a_placed_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    write_brightness_model(tmp_path / "u2net.onnx")
    picture = np.zeros((60, 40, 3), np.uint8)
    picture[20:, 10:30] = 255
    alpha = rembg_remover.make("u2net")(picture, None)
    assert alpha.shape == (60, 40)
    assert alpha.dtype == np.float32
    assert alpha[25:55, 14:26].min() > 0.9
    assert alpha[:15].max() < 0.1
    before = rembg_remover.fingerprint("u2net")
    (tmp_path / "u2net.onnx").write_bytes(b"another file")
    assert rembg_remover.fingerprint("u2net") != before


def test_absent_weights_are_told_at_once_and_without_rembg(tmp_path: Path) -> None:
    code = (
        "import sys; from data_manifests.errors import BackendError; from preprocess.backends import rembg_remover\n"
        "try: rembg_remover.make()\n"
        "except BackendError as error: print(error); print('rembg' in sys.modules)"
    )
    environment = {**os.environ, "U2NET_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    message, imported = done.stdout.splitlines()
    for word in ("u2net.onnx", WEIGHTS["u2net"].md5, str(tmp_path), "background.backend=grabcut"):
        assert word in message
    assert imported == "False"


def test_only_named_models_are_used() -> None:
    with pytest.raises(BackendError, match=r"model must be one of \{u2net.*Got 'bria-rmbg' instead"):
        rembg_remover.check("bria-rmbg")
