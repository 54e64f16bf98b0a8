"""The choice of a face, and the mean shape that replaces landmarks off the face."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.faces import centre_box, five_points_of, landmark_disagreement, select_face
from pipeline.faces.detections import Detections
from pipeline.faces.mean_shape import MEAN_SHAPE, fit_mean_shape
from pipeline.faces.selection import count_large_faces

ROLLS = st.floats(-math.pi, math.pi)


def faces(*boxes: tuple[float, float, float, float], scores: list[float] | None = None) -> Detections:
    given_scores = np.array(scores or [1.0] * len(boxes), np.float32)
    return Detections(np.array(boxes, np.float32), given_scores, np.zeros((len(boxes), 5, 2), np.float32))


def test_one_face_needs_no_remark() -> None:
    assert select_face(faces((0, 0, 20, 20)), (100, 100)) == (0, "")


@pytest.mark.parametrize(
    ("found", "index", "words"),
    [
        (faces((0, 0, 10, 10), (30, 30, 70, 70)), 1, "2 faces, took the largest, most central"),
        (faces((40, 40, 60, 60), (0, 0, 20, 20)), 0, "2 faces, took the largest, most central"),
        (faces((20, 40, 45, 65), (55, 40, 80, 65)), 0, "2 faces, took one of two that are about equal"),
        (
            faces((30, 30, 70, 70), (30, 30, 70, 70), scores=[0.7, 0.99]),
            1,
            "2 faces, took the largest, most central",
        ),
    ],
)
def test_the_larger_more_central_surer_face_is_chosen(found: Detections, index: int, words: str) -> None:
    assert select_face(found, (100, 100)) == (index, words)


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_the_centre_box_is_a_square_in_the_middle(width: int, height: int) -> None:
    x0, y0, x1, y1 = centre_box((width, height))
    assert x1 - x0 == pytest.approx(min(width, height) / 2, rel=1e-3)
    assert y1 - y0 == pytest.approx(x1 - x0, rel=1e-3)
    assert x0 + x1 == pytest.approx(width, abs=0.01)
    assert y0 + y1 == pytest.approx(height, abs=0.01)


@given(st.floats(5, 300), ROLLS, st.floats(-200, 500), st.floats(-200, 500))
def test_the_mean_shape_is_found_again_after_any_similarity(size: float, roll: float, x: float, y: float) -> None:
    placed = MEAN_SHAPE * size * np.exp(1j * roll) + x + 1j * y
    truth = np.stack([placed.real, placed.imag], axis=1)
    np.testing.assert_allclose(fit_mean_shape(five_points_of(truth)), truth, atol=1e-3 * size + 1e-3)
    assert landmark_disagreement(truth, five_points_of(truth)) < 1e-6


def test_the_mean_shape_is_a_face() -> None:
    mirrored = -MEAN_SHAPE.conj()
    assert np.abs(mirrored[:, None] - MEAN_SHAPE[None]).min(axis=1).max() < 1e-9  # left and right alike
    eyes, nose, mouth, chin = MEAN_SHAPE[36:48], MEAN_SHAPE[30], MEAN_SHAPE[48:], MEAN_SHAPE[8]
    assert eyes.imag.max() < nose.imag < mouth.imag.min() < mouth.imag.max() < chin.imag


def test_small_faces_in_the_background_are_not_counted_as_large() -> None:
    found = faces((30, 30, 70, 70), (0, 0, 10, 10), (60, 60, 85, 85))
    assert count_large_faces(found, 0) == 2
