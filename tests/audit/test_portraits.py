"""One portrait with several masks: its photos are joined, other people before the same background are not."""

from __future__ import annotations

import numpy as np

from audit.scoring import connect_pairs, find_same_portraits

PEOPLE, MASKS, SIDE = 40, 3, 16


def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return thumbnails (P, 768) with equal upper halves and other lower halves per person, and identity vectors."""
    upper = np.repeat(rng.integers(0, 256, (PEOPLE, SIDE // 2, SIDE, 3)), MASKS, axis=0)
    lower = rng.integers(0, 256, (PEOPLE * MASKS, SIDE // 2, SIDE, 3))
    noise = rng.integers(-2, 3, (PEOPLE * MASKS, SIDE, SIDE, 3))
    pictures = np.clip(np.concatenate([upper, lower], axis=1) + noise, 0, 255).astype(np.uint8)
    vectors = np.repeat(rng.standard_normal((PEOPLE, 64)), MASKS, axis=0) + rng.normal(0, 0.02, (PEOPLE * MASKS, 64))
    return pictures.reshape(PEOPLE * MASKS, -1), (vectors / np.linalg.norm(vectors, axis=1)[:, None]).astype(np.float32)


def groups(thumbnails: np.ndarray, identity: np.ndarray) -> np.ndarray:
    pairs = find_same_portraits(thumbnails, identity, np.random.default_rng(0))
    return connect_pairs(pairs, len(thumbnails))


def test_photos_of_one_portrait_are_joined() -> None:
    thumbnails, identity = draw(np.random.default_rng(1))
    found = groups(thumbnails, identity).reshape(PEOPLE, MASKS)
    assert (found >= 0).all()
    assert (found == found[:, :1]).all()
    assert len(np.unique(found)) == PEOPLE


def test_other_people_before_one_background_are_not() -> None:
    thumbnails, identity = draw(np.random.default_rng(2))
    thumbnails[:] = thumbnails[0]
    found = groups(thumbnails, identity).reshape(PEOPLE, MASKS)
    assert len(np.unique(found[:, 0])) == PEOPLE


def test_without_faces_or_contrast_nothing_is_joined() -> None:
    thumbnails, identity = draw(np.random.default_rng(3))
    assert (groups(thumbnails, np.full_like(identity, np.nan)) == -1).all()
    assert (groups(thumbnails, identity[:, :0]) == -1).all()
    assert (groups(np.full_like(thumbnails, 200), identity) == -1).all()
    assert groups(thumbnails[:0], identity[:0]).shape == (0,)
