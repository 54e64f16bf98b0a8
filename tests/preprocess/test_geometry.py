"""Crops: every point goes where its pixel goes, and comes back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.faces.detections import Detections
from preprocess.backends.guided_filter import guided_alpha
from preprocess.stages import geometry
from preprocess.stages.background import blend_over

BOXES = st.tuples(st.floats(-50, 400), st.floats(-50, 400), st.floats(12, 300), st.floats(12, 300)).map(
    lambda box: np.array([box[0], box[1], box[0] + box[2], box[1] + box[3]], np.float32)
)
SIZES = st.none() | st.tuples(st.integers(16, 512), st.integers(16, 512))
ROLLS = st.floats(-math.pi, math.pi)
POINTS = arrays(np.float32, (68, 2), elements=st.floats(-500, 1000, width=32))


@given(BOXES, st.floats(0, 2), SIZES, ROLLS, POINTS)
def test_points_come_back(
    box: np.ndarray, margin: float, size_wh: tuple[int, int] | None, roll: float, points: np.ndarray
) -> None:
    transform, _ = geometry.crop_transform(box, margin, size_wh, roll)
    there = geometry.move_points(points, transform)
    np.testing.assert_allclose(geometry.move_points(there, geometry.invert(transform)), points, atol=0.05)


@given(BOXES, st.floats(0, 2), SIZES, ROLLS)
def test_the_crop_holds_the_face_and_its_margin(
    box: np.ndarray, margin: float, size_wh: tuple[int, int] | None, roll: float
) -> None:
    transform, (width, height) = geometry.crop_transform(box, margin, size_wh, roll)
    x0, y0, x1, y1 = geometry.move_box(box, transform)
    spare = margin * max(x1 - x0, y1 - y0)
    slack = 1.1  # whole pixels where nothing is scaled
    assert min(x0, y0) >= spare - slack
    assert x1 <= width - spare + slack
    assert y1 <= height - spare + slack


@given(BOXES, ROLLS)
def test_a_transform_undone_is_none(box: np.ndarray, roll: float) -> None:
    transform, _ = geometry.crop_transform(box, 0.4, (128, 160), roll)
    nothing = geometry.compose(geometry.invert(transform), transform)
    np.testing.assert_allclose(nothing, [[1, 0, 0], [0, 1, 0]], atol=1e-9)


@pytest.mark.parametrize(("size_wh", "roll"), [(None, 0.0), ((96, 128), 0.0), ((300, 300), 0.3), ((24, 24), -0.4)])
def test_a_dot_is_where_its_point_went(size_wh: tuple[int, int] | None, roll: float) -> None:
    """A white disc in the photo must lie at the moved centre in the crop, at every scale and roll."""
    centre = np.array([[150.0, 110.0]], np.float32)
    rows, columns = np.mgrid[:300, :280]
    disc = np.clip(9 - np.hypot(columns - centre[0, 0], rows - centre[0, 1]), 0, 1)
    picture = np.repeat((255 * disc)[..., None], 3, axis=2).astype(np.uint8)
    transform, crop_wh = geometry.crop_transform(np.array([100, 60, 190, 170]), 0.4, size_wh, roll)
    crop = geometry.warp(picture, transform, crop_wh, "black")[..., 0].astype(float)
    assert crop.shape == crop_wh[::-1]
    rows, columns = np.mgrid[: crop.shape[0], : crop.shape[1]]
    found = np.array([(columns * crop).sum(), (rows * crop).sum()]) / crop.sum()
    np.testing.assert_allclose(found, geometry.move_points(centre, transform)[0], atol=0.1)


def test_alignment_levels_the_eyes() -> None:
    points = np.array([[100, 120], [150, 90], [130, 130], [120, 160], [160, 140]], np.float32)
    transform, _ = geometry.crop_transform(np.array([80, 60, 180, 180]), 0.4, (200, 200), geometry.roll_of(points))
    left, right = geometry.move_points(points, transform)[:2]
    assert left[1] == pytest.approx(right[1], abs=1e-3)
    assert left[0] < right[0]


def test_a_plain_crop_copies_pixels() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (100, 90, 3)).astype(np.uint8)
    transform, crop_wh = geometry.crop_transform(np.array([20.3, 30.2, 60.1, 71.9]), 0.0)
    crop = geometry.warp(picture, transform, crop_wh, "replicate")
    x, y = (-transform[:, 2]).astype(int)
    assert np.array_equal(crop, picture[y : y + crop_wh[1], x : x + crop_wh[0]])


def test_borders_differ() -> None:
    picture = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    transform = np.array([[1, 0, 2], [0, 1, 0]], float)  # two columns from beyond the left edge
    first = {
        border: geometry.warp(picture, transform, (5, 3), border)[0, :3, 0].tolist() for border in geometry.BORDERS
    }
    assert first == {"replicate": [0, 0, 0], "reflect": [6, 3, 0], "grey": [127, 127, 0], "black": [0, 0, 0]}


def test_arrays_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="points_xy must be float32"):
        Detections(np.zeros((2, 4), np.float32), np.zeros(2, np.float32), np.zeros((1, 5, 2), np.float32))


@given(arrays(np.uint8, (5, 4, 3)), arrays(np.float32, (5, 4), elements=st.floats(0, 1, width=32)))
def test_laying_over_stays_between_the_two(image: np.ndarray, alpha: np.ndarray) -> None:
    colour = (127, 127, 127)
    mixed = blend_over(image, alpha, colour).astype(int)
    assert (mixed >= np.minimum(image, 127)).all()
    assert (mixed <= np.maximum(image, 127)).all()
    assert np.array_equal(blend_over(image, np.ones((5, 4), np.float32), colour), image)
    assert (blend_over(image, np.zeros((5, 4), np.float32), colour) == 127).all()


def test_a_coarse_alpha_finds_the_edge_of_the_picture() -> None:
    """A mask cut at a quarter of the size, a pixel off, must follow the true edge after the guided filter."""
    picture = np.full((160, 160, 3), 40, np.uint8)
    picture[:, 70:] = 210
    coarse = np.zeros((40, 40), np.float32)
    coarse[:, 18:] = 1  # the edge lies at 72 instead of 70
    alpha = guided_alpha(picture, coarse, radius_px=3, epsilon=1e-4)
    assert alpha.shape == (160, 160)
    assert alpha[80, 69] < 0.3
    assert alpha[80, 70] > 0.7
