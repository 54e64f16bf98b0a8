"""The real detectors, landmarkers and removers, on a photo (scikit-image's astronaut) and on rendered people."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from facenet_pytorch import MTCNN
from facenet_pytorch.models.mtcnn import ONet, PNet, RNet
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage.data import astronaut

from data_manifests.errors import BackendError, StageError
from pipeline.faces import five_points_of, landmark_disagreement
from pipeline.faces.backends import dlib68, five_points, mtcnn
from pipeline.faces.backends.mtcnn_nets import load_nets
from pipeline.weights import WEIGHTS
from preprocess.backends import grabcut, rembg_remover
from synth.demo_faces.parameters.sampling import make_people, sample_snapshot
from synth.demo_faces.rendering.portrait import Portrait, build_model, render_snapshot

ROOT = Path(__file__).resolve().parents[2]
FACES_DIR = os.environ.get("FACES_DIR")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def rendered() -> list[Portrait]:
    rng = np.random.default_rng(1)
    return [render_snapshot(build_model(person), sample_snapshot(rng)) for person in make_people(4, rng)]


@pytest.fixture(scope="module")
def pictures(rendered: list[Portrait]) -> list[np.ndarray]:
    real = sorted(Path(FACES_DIR).rglob("*.jpg"))[::60] if FACES_DIR else []
    return [astronaut(), *(shot.image for shot in rendered), *(np.array(Image.open(path)) for path in real)]


# MTCNN -------------------------------------------------------------------------------------------------------------
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 30), st.integers(1, 30), st.integers(0, 9))
def test_area_pooling_is_torchs(height: int, width: int, out_h: int, out_w: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    ours = mtcnn.area_pool(cv2.integral(image), np.array([[0, 0, width, height]]), (out_w, out_h))
    theirs = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(image).permute(2, 0, 1).float(), (out_h, out_w))
    np.testing.assert_allclose(ours[0], theirs.permute(1, 2, 0).numpy(), rtol=1e-5, atol=1e-3)


def test_the_networks_are_facenets() -> None:
    rng = np.random.default_rng(0)
    for ours, module, side in zip(load_nets(), (PNet(), RNet(), ONet()), (31, 24, 48), strict=True):
        batch = rng.uniform(0, 255, (3, side, side, 3)).astype(np.float32)
        with torch.no_grad():
            theirs = module((torch.from_numpy(batch).permute(0, 3, 1, 2) - 127.5) / 128)
        for mine, output in zip(ours(batch), theirs, strict=True):
            np.testing.assert_allclose(mine, output.numpy(), atol=1e-5)


def test_boxes_and_points_are_the_librarys(pictures: list[np.ndarray]) -> None:
    library = MTCNN()
    for picture in pictures:
        boxes, scores, points = library.detect(Image.fromarray(picture), landmarks=True)
        faces = mtcnn.make(coarse_share=0)(picture)
        order = np.argsort(-(faces.boxes_xyxy[:, 2:] - faces.boxes_xyxy[:, :2]).prod(axis=1))
        np.testing.assert_allclose(faces.boxes_xyxy[order], boxes.astype(float), atol=0.5)
        np.testing.assert_allclose(faces.points_xy[order], points.astype(float), atol=0.5)
        np.testing.assert_allclose(faces.scores[order], scores.astype(float), atol=1e-3)


def test_the_first_walk_moves_a_box_little(pictures: list[np.ndarray]) -> None:
    for picture in pictures:
        coarse, full = (mtcnn.make(coarse_share=share)(picture).boxes_xyxy[0] for share in (0.25, 0.0))
        np.testing.assert_allclose(coarse, full, atol=0.08 * (full[3] - full[1]))


def test_a_small_face_is_found_on_the_second_walk() -> None:
    small = cv2.resize(astronaut(), (128, 128), interpolation=cv2.INTER_AREA)
    scene = np.full((600, 600, 3), 90, np.uint8)
    scene[300:428, 100:228] = small  # its face is some 25 px wide, far below a quarter of 600
    (box,) = mtcnn.make()(scene).boxes_xyxy
    x, y = (box[:2] + box[2:]) / 2
    assert 100 + 40 < x < 100 + 75
    assert 300 + 10 < y < 300 + 50


def test_a_large_picture_is_searched_small_and_answered_large() -> None:
    photo = astronaut()
    large = cv2.resize(photo, (5 * 512, 5 * 512), interpolation=cv2.INTER_CUBIC)
    small_box, large_box = (mtcnn.make()(picture).boxes_xyxy[0] for picture in (photo, large))
    np.testing.assert_allclose(large_box / 5, small_box, atol=0.1 * (small_box[3] - small_box[1]))


@pytest.mark.parametrize("shape", [(1, 1), (11, 300), (20, 20), (64, 48), (300, 200)])
def test_no_face_is_no_crash(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (*shape, 3)).astype(np.uint8)
    detect = mtcnn.make()
    assert len(detect(noise)) == 0
    assert len(detect(np.full_like(noise, 128))) == 0


# landmarks ---------------------------------------------------------------------------------------------------------
def test_landmarks_lie_where_the_rendered_face_has_them(rendered: list[Portrait]) -> None:
    detect, landmark = mtcnn.make(), dlib68.make()
    for shot in rendered:
        faces = detect(shot.image)
        found = landmark(shot.image, faces.boxes_xyxy[0], faces.points_xy[0])
        eyes = five_points_of(shot.landmarks_xy)
        distance = np.linalg.norm(found - shot.landmarks_xy, axis=1).mean() / np.linalg.norm(eyes[1] - eyes[0])
        assert distance < 0.2
        assert landmark_disagreement(found, faces.points_xy[0]) < 0.25


def test_landmarks_need_no_points_but_differ_little_with_them() -> None:
    faces = mtcnn.make()(astronaut())
    landmark = dlib68.make()
    with_points = landmark(astronaut(), faces.boxes_xyxy[0], faces.points_xy[0])
    without = landmark(astronaut(), faces.boxes_xyxy[0], None)
    assert with_points.shape == (68, 2)
    assert with_points.dtype == np.float32
    assert landmark_disagreement(without, five_points_of(with_points)) < 0.1


def test_five_points_need_five_points() -> None:
    landmark = five_points.make()
    faces = mtcnn.make()(astronaut())
    assert (
        landmark_disagreement(landmark(astronaut(), faces.boxes_xyxy[0], faces.points_xy[0]), faces.points_xy[0]) < 0.25
    )
    with pytest.raises(StageError, match="five points"):
        landmark(astronaut(), faces.boxes_xyxy[0], None)


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
