"""Quality measures follow the changes made to a picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.features.aligned_face import EYES_SHARE_XY, align_face, eyes_xy
from audit.features.quality_measures import (
    FACE_PX,
    LIMITS,
    calc_blur_score,
    calc_exposure_score,
    calc_face_size_score,
    has_border,
    is_grey,
    measure,
    odd_sizes,
)
from tests.conftest import draw_picture


def landmarks(left: tuple[float, float], right: tuple[float, float]) -> np.ndarray:
    points = np.zeros((68, 2), np.float32)
    points[36:42], points[42:48] = left, right
    return points


def textured(seed: int = 0, size: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).integers(40, 215, (size, size, 3)).astype(np.uint8)


@settings(max_examples=30, deadline=None)
@given(angle=st.floats(-180, 180), distance=st.floats(20, 150), x=st.floats(60, 190), y=st.floats(60, 190))
def test_a_chip_puts_the_eyes_where_they_belong(angle: float, distance: float, x: float, y: float) -> None:
    half = distance / 2 * np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))])
    points = landmarks(tuple(np.array([x, y]) - half), tuple(np.array([x, y]) + half))
    image = np.zeros((256, 256, 3), np.uint8)
    for colour, eye in zip(((255, 0, 0), (0, 255, 0)), eyes_xy(points), strict=True):
        cv2.circle(image, tuple(np.rint(eye).astype(int).tolist()), max(2, int(distance / 8)), colour, -1)
    chip = align_face(image, points, 128).astype(float)
    for channel, place in enumerate(EYES_SHARE_XY):
        column, row = np.rint(np.array(place) * 128).astype(int)
        assert chip[row, column, channel] > 100


def test_blur_falls_with_every_step_of_blurring() -> None:
    chip = cv2.resize(textured(1, 32), (FACE_PX, FACE_PX), interpolation=cv2.INTER_CUBIC)
    scores = [calc_blur_score(chip)] + [calc_blur_score(cv2.GaussianBlur(chip, (0, 0), s)) for s in (1, 2, 4, 12)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > LIMITS["blur_score"] > scores[-1]


@pytest.mark.parametrize(("level", "good"), [(0, False), (10, False), (110, True), (250, False), (255, False)])
def test_exposure_is_bad_at_both_ends(level: int, good: bool) -> None:
    score = calc_exposure_score(np.full((FACE_PX, FACE_PX, 3), level, np.uint8))
    assert 0 <= score <= 1
    assert (score >= LIMITS["exposure_score"]) == good


def test_a_tiny_face_scores_by_its_eye_distance() -> None:
    assert calc_face_size_score(landmarks((10, 10), (22, 10))) == pytest.approx(0.5)
    assert calc_face_size_score(landmarks((10, 10), (100, 40))) == 1


def test_grey_is_a_matter_of_colour_not_of_channels() -> None:
    colour = draw_picture(3, 96, 96)
    grey = np.repeat(cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    assert is_grey(grey)
    assert not is_grey(colour)


@pytest.mark.parametrize("turn", [False, True])
def test_letterbox_is_a_border_and_a_plain_wall_is_not(turn: bool) -> None:
    photo = cv2.resize(textured(5, 32), (160, 120), interpolation=cv2.INTER_LINEAR)
    boxed = cv2.copyMakeBorder(photo, 14, 14, 0, 0, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    wall = np.full((160, 160, 3), 180, np.uint8)
    cv2.circle(wall, (80, 90), 50, (90, 70, 60), -1)
    pictures = [cv2.rotate(p, cv2.ROTATE_90_CLOCKWISE) if turn else p for p in (boxed, photo, wall)]
    assert [has_border(p) for p in pictures] == [True, False, False]


def test_odd_sizes_needs_a_usual_one() -> None:
    width, height = np.full(100, 384), np.full(100, 512)
    width[7] = 512
    assert np.flatnonzero(odd_sizes(width, height)).tolist() == [7]
    assert not odd_sizes(np.arange(100, 200), np.full(100, 150)).any()


def test_without_a_face_only_the_picture_is_measured() -> None:
    found = measure(textured(), None)
    assert found["blur_score"] is None
    assert found["exposure_score"] is None
    assert found["grey"] is False
