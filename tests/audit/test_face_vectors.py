"""The networks that describe a face."""

from __future__ import annotations

from pathlib import Path

import dlib
import numpy as np
import onnx
import pytest
import timm
import torch
from onnx import TensorProto, helper

from audit.features.backends.dlib_layers import face_chip, make
from audit.features.backends.dlib_network import read_weights
from audit.features.face_vectors import pack, unpack
from data_manifests.errors import BackendError
from pipeline.backends import load_backend
from pipeline.faces.mean_shape import fit_mean_shape
from pipeline.weights import WEIGHTS

POINTS = np.array([[88, 110], [168, 110], [128, 160], [95, 200], [161, 200]], np.float32)


@pytest.fixture
def image() -> np.ndarray:
    coarse = np.random.default_rng(2).integers(0, 255, (16, 16, 3)).astype(np.uint8)
    return np.kron(coarse, np.ones((16, 16, 1), np.uint8))


def test_identity_is_dlibs_own_embedding(image: np.ndarray) -> None:
    shape = fit_mean_shape(POINTS)
    chip = face_chip(image, shape)
    network = dlib.face_recognition_model_v1(str(WEIGHTS["dlib-face"].require()))
    theirs = np.mean([network.compute_face_descriptor(np.ascontiguousarray(c)) for c in (chip, chip[:, ::-1])], axis=0)
    ours = make()(image, shape)
    np.testing.assert_allclose(ours.identity, theirs, atol=2e-6)
    assert ours.appearance.shape == (2048,)
    assert ours.lower_face.shape == (768,)


def test_the_lower_face_sees_a_mask_and_not_a_hat(image: np.ndarray) -> None:
    shape, describe = fit_mean_shape(POINTS), make()
    plain = describe(image, shape).lower_face
    masked, hatted = image.copy(), image.copy()
    masked[165:215, 85:175] = 255
    hatted[40:75] = 255
    change = [np.linalg.norm(describe(picture, shape).lower_face - plain) for picture in (masked, hatted)]
    assert change[0] > 10 * change[1]


def test_a_file_that_is_not_dlibs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.dat").write_bytes(b"\x01\x05con_4" * 3 + bytes(200))
    with pytest.raises((BackendError, ValueError)):
        read_weights(tmp_path / "other.dat")


def test_packed_vectors_keep_three_digits() -> None:
    vector = np.random.default_rng(0).standard_normal(500).astype(np.float32)
    np.testing.assert_allclose(unpack(pack(vector)), vector, rtol=1e-3)


def test_onnx_describer(tmp_path: Path, image: np.ndarray) -> None:
    graph = helper.make_graph(
        [helper.make_node("GlobalAveragePool", ["x"], ["p"]), helper.make_node("Flatten", ["p"], ["y"])],
        "mean",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
    )
    file = tmp_path / "mean.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    backend = load_backend("describer", "onnx")
    backend.check(file=str(file))
    seen = backend.make(file=str(file), size_px=64)(image, fit_mean_shape(POINTS))
    assert seen.identity.shape == (3,)
    assert not np.allclose(seen.identity, seen.lower_face)
    with pytest.raises(BackendError, match=r"describer_params\.file"):
        backend.check(file=str(tmp_path / "absent.onnx"))


def test_timm_describer(tmp_path: Path, image: np.ndarray) -> None:
    network = timm.create_model("test_resnet", pretrained=False, num_classes=0)
    file = tmp_path / "weights.pth"
    torch.save(network.state_dict(), file)
    backend = load_backend("describer", "timm")
    seen = backend.make(model="test_resnet", file=str(file), size_px=96)(image, fit_mean_shape(POINTS))
    assert seen.identity.shape == (network.num_features,)
    with pytest.raises(BackendError, match="dlib_layers"):
        backend.check(model="test_resnet")
