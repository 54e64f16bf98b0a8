"""Age moves: the frame, prototypes of rendered people, and the effect of a move."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manifests.errors import StageError
from synth.ages.frame import (
    FRAME_WH,
    Warp,
    border,
    mean_shape,
    mirrored,
    sample_image,
    similarity,
    to_frame,
    transform_points,
)
from synth.ages.learn import Picture, learn_prototypes
from synth.ages.move import move_age
from synth.ages.prototypes import Prototypes, load_prototypes
from synth.ages.texture import LOG_FLOOR, amplitudes, split_bands
from synth.ages.zones import to_lab
from synth.masks.compose import MIRROR_INDEX
from tests.support.synth_faces import OLD, YOUNG, aged_people, aged_prototypes

numbers = st.floats(-50, 50, allow_nan=False)


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    return aged_people()


@pytest.fixture(scope="module")
def prototypes() -> Prototypes:
    return aged_prototypes()


# -- frame and bands ------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.floats(0.2, 5), st.floats(-3, 3), numbers, numbers)
def test_similarity_recovers_the_matrix(zoom: float, turn: float, x: float, y: float) -> None:
    points = np.random.default_rng(0).normal(0, 30, (68, 2))
    cos, sin = zoom * np.cos(turn), zoom * np.sin(turn)
    matrix = np.array([[cos, -sin, x], [sin, cos, y]])
    np.testing.assert_allclose(similarity(points, transform_points(matrix, points)), matrix, atol=1e-8)


def test_the_mean_shape_is_symmetric_upright_and_inside(pictures: list[Picture]) -> None:
    mean = mean_shape([landmarks for _, landmarks, _, _ in pictures])
    np.testing.assert_allclose(mirrored(mean), mean, atol=0.2)
    assert mean.min() > 0
    assert (mean < FRAME_WH).all()
    assert mean[8, 1] > mean[27, 1]


def test_a_warp_moves_its_points_and_nothing_without_a_move() -> None:
    rng = np.random.default_rng(3)
    points = np.vstack([rng.uniform(20, 76, (12, 2)), border(97, 91)])
    warp = Warp(points, (97, 91), smooth=1e-9)
    still, moved = warp.maps(points, points + np.array([3.0, -2.0]))
    own = np.stack(np.meshgrid(np.arange(97), np.arange(91)), axis=-1)
    np.testing.assert_allclose(still, own, atol=1e-3)
    np.testing.assert_allclose(moved, own + np.array([3, -2]), atol=1e-3)
    target = points.copy()
    target[0] += (4, 5)
    (bent,) = warp.maps(target)
    at = points[:1].astype(np.float32)[None]
    np.testing.assert_allclose(sample_image(bent, at)[0, 0], target[0], atol=0.6)  # the grid smooths an isolated point


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_bands_sum_up_to_the_picture(seed: int) -> None:
    picture = np.random.default_rng(seed).uniform(0, 100, (88, 72)).astype(np.float32)
    bands, rest = split_bands(picture)
    np.testing.assert_allclose(sum(bands) + rest, picture, atol=1e-3)
    np.testing.assert_allclose(amplitudes([b[:, ::-1] for b in bands]), amplitudes(bands)[..., ::-1], atol=1e-4)


# -- prototypes -----------------------------------------------------------------------------------------------------


def test_prototypes_count_people_per_band(prototypes: Prototypes) -> None:
    assert prototypes.counts.tolist() == [[5, 5], [5, 6]]
    assert prototypes.ages.tolist() == [[YOUNG, OLD], [YOUNG, OLD]]
    assert [prototypes.band_index(age) for age in (0, 44, 45, 116)] == [0, 0, 1, 1]
    assert prototypes.band_name(0) == "0-44"
    assert not prototypes.is_pooled("female", 0, 1)
    assert prototypes.notes()[1] == "female people 0-44: 5, 45-116: 6"


def test_too_few_of_one_gender_are_pooled_and_it_is_recorded(pictures: list[Picture]) -> None:
    men = [p for p in pictures if p[2] == "male"]
    few = learn_prototypes(men + [p for p in pictures if p[2] == "female"][5:8], [45], min_people=5)
    assert few.counts.tolist() == [[6, 6], [1, 2]]
    assert few.weights("male", 0, 1).tolist() == [1, 0]
    assert few.is_pooled("female", 0, 1)
    np.testing.assert_allclose(few.weights("female", 0, 1), [6 / 7, 1 / 7])
    assert "too few of 0-44, 45-116: both genders' difference is used there" in few.notes()[1]
    image, landmarks, *_ = pictures[1]
    assert move_age(image, landmarks, "female", YOUNG, OLD, few).pooled


def test_pooling_never_adds_one_gender_to_an_age(prototypes: Prototypes) -> None:
    """These bands differ only in their share of men, so the pooled difference must be zero."""
    shapes = prototypes.shapes.copy()
    shapes[0], shapes[1] = 0.0, 50.0
    skewed = replace(prototypes, counts=np.array([[9, 2], [2, 9]]), min_people=np.array(3), shapes=shapes)
    weights = skewed.weights("male", 0, 1)
    assert np.abs(np.tensordot(weights, shapes[:, 1] - shapes[:, 0], axes=1)).max() == 0


@pytest.mark.parametrize(
    ("bands", "words"),
    [([60, 30], "rising ages"), ([], "rising ages"), ([30, 50], "the age band from 30 has 0 people")],
)
def test_bands_that_cannot_be_learned(pictures: list[Picture], bands: list[int], words: str) -> None:
    with pytest.raises(StageError, match=words):
        learn_prototypes(pictures, bands)


def test_a_generator_is_refused(pictures: list[Picture]) -> None:
    with pytest.raises(StageError, match="iterated three times"):
        learn_prototypes(iter(pictures), [45])


def test_prototypes_come_back_from_their_file(prototypes: Prototypes, tmp_path: Path) -> None:
    sha256 = prototypes.save(tmp_path / "p.npz")
    again = load_prototypes(tmp_path / "p.npz", sha256)
    assert again.save(tmp_path / "q.npz") == sha256
    np.testing.assert_array_equal(again.details, prototypes.details)
    np.testing.assert_allclose(again.colours, prototypes.colours, atol=0.05)
    with pytest.raises(StageError, match="cannot be read"):
        load_prototypes(tmp_path / "none.npz")
    with pytest.raises(StageError, match="have changed"):
        load_prototypes(tmp_path / "p.npz", "0" * 64)
    (tmp_path / "p.npz").write_bytes((tmp_path / "p.npz").read_bytes()[:5000])
    with pytest.raises(StageError, match="is not a file of age prototypes"):
        load_prototypes(tmp_path / "p.npz")


# -- moves ----------------------------------------------------------------------------------------------------------


def texture_of(image: np.ndarray, landmarks: np.ndarray, prototypes: Prototypes) -> np.ndarray:
    lightness = to_lab(to_frame(image, landmarks, prototypes.mean_xy))[..., 0]
    return np.log(amplitudes(split_bands(lightness)[0]) + LOG_FLOOR)


@pytest.mark.parametrize(("who", "source", "target"), [(0, YOUNG, OLD), (11, YOUNG, OLD), (12, OLD, YOUNG)])
def test_a_move_goes_from_source_to_target(
    pictures: list[Picture], prototypes: Prototypes, who: int, source: int, target: int
) -> None:
    """For people not in the prototypes: shape changes by exactly the difference, texture in its direction."""
    image, landmarks, gender, _ = pictures[who]
    moved = move_age(image, landmarks, gender, source, target, prototypes)
    g, s, t = ("male", "female").index(gender), int(source == OLD), int(target == OLD)
    to_mean = similarity(landmarks, prototypes.mean_xy)
    step = (moved.landmarks_xy - landmarks) @ to_mean[:, :2].T
    np.testing.assert_allclose(step, prototypes.shapes[g, t] - prototypes.shapes[g, s], atol=1e-3)
    wanted = prototypes.textures[g, t] - prototypes.textures[g, s]
    got = texture_of(moved.image, moved.landmarks_xy, prototypes) - texture_of(image, landmarks, prototypes)
    face = (slice(None), slice(None), slice(35, 70), slice(20, 52))  # between the brows and the mouth
    assert np.corrcoef(wanted[face].ravel(), got[face].ravel())[0, 1] > 0.2
    assert (moved.source_band, moved.target_band) == (prototypes.band_name(s), prototypes.band_name(t))
    assert not moved.pooled


def test_a_move_is_repeatable_and_changes_only_the_face(pictures: list[Picture], prototypes: Prototypes) -> None:
    image, landmarks, gender, _ = pictures[0]
    first = move_age(image, landmarks, gender, YOUNG, OLD, prototypes)
    assert (move_age(image, landmarks, gender, YOUNG, OLD, prototypes).image == first.image).all()
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    changed = np.argwhere((first.image != image).any(axis=2))[:, ::-1]
    size = (high - low).max()
    assert (changed >= low - 0.85 * size).all()
    assert (changed <= high + 0.5 * size).all()
    assert len(changed) > 5000


def test_no_strength_changes_nothing_but_rounding(pictures: list[Picture], prototypes: Prototypes) -> None:
    image, landmarks, gender, _ = pictures[2]
    still = move_age(image, landmarks, gender, YOUNG, OLD, prototypes, strength=0)
    assert np.abs(still.image.astype(int) - image).mean() < 0.2
    np.testing.assert_allclose(still.landmarks_xy, landmarks, atol=1e-3)


def test_a_mirrored_face_moves_as_in_the_mirror(pictures: list[Picture], prototypes: Prototypes) -> None:
    image, landmarks, gender, _ = pictures[0]
    turned = landmarks[MIRROR_INDEX] * [-1, 1] + [image.shape[1] - 1, 0]
    plain = move_age(image, landmarks, gender, YOUNG, OLD, prototypes)
    mirror = move_age(np.ascontiguousarray(image[:, ::-1]), turned, gender, YOUNG, OLD, prototypes)
    apart = np.abs(mirror.image[:, ::-1].astype(int) - plain.image)
    moved = np.abs(plain.image.astype(int) - image)
    assert apart.mean() < 0.25 * moved.mean()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"to_age": YOUNG}, "nothing to move"),
        ({"strength": 2.5}, "strength must be within 0 to 2.0"),
        ({"from_age": 130}, "age must be within 0 to 116"),
        ({"gender": "other"}, "gender must be one of"),
        ({"landmarks_xy": np.full((68, 2), np.nan)}, "finite"),
        ({"landmarks_xy": np.zeros((5, 2))}, "shape"),
    ],
)
def test_moves_that_are_refused(
    pictures: list[Picture], prototypes: Prototypes, change: dict[str, object], words: str
) -> None:
    image, landmarks, gender, age = pictures[0]
    given_ = {"image": image, "landmarks_xy": landmarks, "gender": gender, "from_age": age, "to_age": OLD} | change
    with pytest.raises(StageError, match=words):
        move_age(prototypes=prototypes, **given_)  # type: ignore[arg-type]


def test_a_face_at_the_border_is_moved_too(pictures: list[Picture], prototypes: Prototypes) -> None:
    image, landmarks, gender, _ = pictures[0]
    x0, y0 = np.floor(landmarks.min(axis=0)).astype(int) - 3
    moved = move_age(image[y0:, x0:], landmarks - [x0, y0], gender, YOUNG, OLD, prototypes)
    assert moved.image.shape == image[y0:, x0:].shape
