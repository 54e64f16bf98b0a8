"""Near neighbours and duplicates."""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.checks.duplicate import find_duplicates
from audit.features.fingerprint import decode_thumbnail, encode_thumbnail, perceptual_hash
from audit.scoring.neighbours import find_near_hashes, find_near_vectors, pairs_of_equal_keys


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), distance=st.integers(0, 5))
def test_near_hashes_finds_what_comparing_all_finds(seed: int, distance: int) -> None:
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 1 << 63, 40, dtype=np.uint64)
    for place in range(20, 40):  # neighbours at every distance up to 6
        hashes[place] = hashes[place - 20] ^ np.bitwise_or.reduce(
            np.uint64(1) << rng.choice(64, rng.integers(1, 7), replace=False).astype(np.uint64)
        )
    wanted = {(i, j) for i, j in combinations(range(40), 2) if int(hashes[i] ^ hashes[j]).bit_count() <= distance}
    assert {tuple(pair) for pair in find_near_hashes(hashes, distance).tolist()} == wanted


def test_equal_hashes_are_a_chain_not_a_square() -> None:
    pairs = find_near_hashes(np.full(1000, 5, np.uint64), 4)
    assert len(pairs) == 999
    assert (pairs[:, 0] == 0).all()


def test_a_run_of_equal_keys_costs_linear_work() -> None:
    assert len(pairs_of_equal_keys(np.zeros(6400, np.int64))) == 100 * 64 * 63 / 2
    assert {tuple(sorted(p)) for p in pairs_of_equal_keys(np.array([3, 1, 3, 1, 3]))} == {
        (0, 2),
        (0, 4),
        (2, 4),
        (1, 3),
    }


def test_near_vectors_finds_999_of_1000() -> None:
    rng = np.random.default_rng(4)
    vectors = rng.standard_normal((4000, 128)).astype(np.float32) * np.float32(1.35 / 128**0.5)
    step = rng.standard_normal((1000, 128)).astype(np.float32)
    vectors[1000:2000] = vectors[:1000] + step / np.linalg.norm(step, axis=1, keepdims=True) * 0.119
    found = {tuple(pair) for pair in find_near_vectors(vectors, 0.12, rng).tolist()}
    planted = {(i, i + 1000) for i in range(1000)}
    assert found <= planted
    assert len(found) >= 999


def picture(seed: int) -> np.ndarray:
    """Clouds of all sizes, as photos have; a picture of few colours has a hash of few bits."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.random((n, n, 3)), (96, 128), interpolation=cv2.INTER_CUBIC) / n**0.5 for n in (2, 4, 8, 16)
    ]
    return np.clip(sum(layers) * 110, 0, 255).astype(np.uint8)


def saved_again(image: np.ndarray, quality: int) -> np.ndarray:
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def find(images: list[np.ndarray], hashes: list[str] | None = None) -> np.ndarray:
    copies = np.array([decode_thumbnail(encode_thumbnail(image)) for image in images])
    names = np.array(hashes or [str(i) for i in range(len(images))])
    prints = np.array([perceptual_hash(image) for image in images], np.uint64)
    nobody = np.full((len(images), 4), np.nan, np.float32)
    return find_duplicates(names, prints, copies, nobody, 4, np.random.default_rng(0)).group


@pytest.mark.parametrize("quality", [50, 85])
def test_a_picture_saved_again_is_found_and_no_other(quality: int) -> None:
    images = [picture(seed) for seed in range(30)]
    small = cv2.resize(images[3], None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
    group = find([*images, saved_again(images[0], quality), small])
    assert group[0] == group[30] >= 0
    assert group[3] == group[31] >= 0
    assert (group >= 0).sum() == 4


def test_equal_bytes_are_one_group_of_three() -> None:
    images = [picture(seed) for seed in (0, 0, 0, 7)]
    group = find(images, ["a", "a", "a", "b"])
    assert len(set(group[:3])) == 1
    assert group[3] == -1


def test_hashes_alone_make_no_duplicate() -> None:
    copies = np.array([decode_thumbnail(encode_thumbnail(picture(seed))) for seed in (1, 2)])
    nobody = np.full((2, 4), np.nan, np.float32)
    found = find_duplicates(
        np.array(["a", "b"]), np.array([9, 9], np.uint64), copies, nobody, 4, np.random.default_rng(0)
    )
    assert found.candidates == 1
    assert found.members() == []
