"""The real detector and landmarkers, on a photo (scikit-image's astronaut) and on rendered people."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from facenet_pytorch import MTCNN
from facenet_pytorch.models.mtcnn import ONet, PNet, RNet
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage.data import astronaut

from data_manifests.errors import StageError
from pipeline.faces import (
    MAX_LANDMARK_DISAGREEMENT,
    LocatedFace,
    detect_face,
    five_points_of,
    landmark_disagreement,
    locator_version,
    make_locator,
    place_landmarks,
    require_landmarks,
)
from pipeline.faces.backends import dlib68, five_points, mtcnn
from pipeline.faces.backends.mtcnn_nets import load_nets
from synth.demo_faces.rendering.portrait import Portrait
from tests.support.portraits import portrait_images, rendered_portraits

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def rendered() -> list[Portrait]:
    return rendered_portraits()


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return portrait_images()


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


@pytest.mark.slow
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


# locate ------------------------------------------------------------------------------------------------------------
def test_a_located_face_has_landmarks_that_agree_with_the_detector(pictures: list[np.ndarray]) -> None:
    locate = make_locator()
    for picture in pictures:
        located = require_landmarks(locate(picture))
        assert located.landmarks_xy.shape == (68, 2)
        assert located.face.points_xy is not None
        assert landmark_disagreement(located.landmarks_xy, located.face.points_xy) <= MAX_LANDMARK_DISAGREEMENT


def head_cut_off(centre_x: int, centre_y: int, side: int) -> np.ndarray:
    """Return a square of the astronaut's photo, 200 px wide, that cuts through the face."""
    half = side // 2
    square = astronaut()[centre_y - half : centre_y + half, centre_x - half : centre_x + half]
    return cv2.resize(square, (200, 200))


def test_a_face_cut_by_the_border_is_found_with_a_border_added() -> None:
    picture, detect = head_cut_off(194, 89, 100), mtcnn.make()
    assert len(detect(picture)) == 0
    face = detect_face(detect, picture)
    assert face is not None
    assert face.remark == "found with a border added to the picture"
    whole = (detect(astronaut()).boxes_xyxy[0] - np.array([144, 39, 144, 39])) * 2  # in the square's pixels
    np.testing.assert_allclose(face.box_xyxy, whole, atol=30)  # of 169 × 215 px
    assert require_landmarks(make_locator()(picture)).landmarks_xy[:, 0].min() > 30


def test_landmarks_off_a_cut_face_are_placed_again_with_a_border() -> None:
    picture = head_cut_off(194, 95, 110)
    face = detect_face(mtcnn.make(), picture)
    assert face is not None
    assert face.remark == ""
    _, is_consistent = place_landmarks(dlib68.make(), picture, face.box_xyxy, face.points_xy)
    assert not is_consistent
    located = require_landmarks(make_locator()(picture))
    assert located.face.points_xy is not None
    assert landmark_disagreement(located.landmarks_xy, located.face.points_xy) <= MAX_LANDMARK_DISAGREEMENT


def test_without_a_face_there_is_nothing_to_locate() -> None:
    assert make_locator()(np.full((200, 200, 3), 128, np.uint8)) is None
    with pytest.raises(StageError, match="no face found"):
        require_landmarks(None)


def test_landmarks_off_the_face_are_reported_not_used() -> None:
    faces = mtcnn.make()(astronaut())
    box, points = faces.boxes_xyxy[0], faces.points_xy[0]
    shifted = dlib68.make()(astronaut(), box, points) + 60
    placed, is_consistent = place_landmarks(lambda image, box_xyxy, points_xy: shifted, astronaut(), box, points)
    assert (placed == shifted).all()
    assert not is_consistent
    face = detect_face(mtcnn.make(), astronaut())
    assert face is not None
    with pytest.raises(StageError, match="off the face"):
        require_landmarks(LocatedFace(face, placed, is_consistent))


def test_the_version_of_the_locator_names_both_backends() -> None:
    assert locator_version() == f"mtcnn@{mtcnn.VERSION};dlib68@{dlib68.VERSION}"
