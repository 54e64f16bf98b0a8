"""Mask check and identity check on drawn vectors: swapped shots, wrong states, photos of another person."""

from __future__ import annotations

import numpy as np
import pytest

from audit.checks.identity import score_identity
from audit.checks.mask import score_masks
from data_manifests.taxonomy import MASKS, SHOT_MASK, SHOTS

PEOPLE = 40
STATES = np.array([MASKS.index(SHOT_MASK[shot]) for shot in SHOTS])


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(12)


def lower_faces(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Features (PEOPLE * 7, 16) that tell the three states apart, and the persons."""
    centres = rng.standard_normal((3, 16)) * 1.5
    states = np.tile(STATES, PEOPLE)
    return (centres[states] + rng.standard_normal((len(states), 16)) * 0.6).astype(np.float32), np.repeat(
        np.arange(PEOPLE), 7
    )


def test_two_swapped_photos_are_one_swap(rng: np.random.Generator) -> None:
    features, persons = lower_faces(rng)
    labels = np.tile(STATES, PEOPLE)
    normal, masked = 7 * 5, 7 * 5 + 2  # of person 5
    features[[normal, masked]] = features[[masked, normal]]
    found = score_masks([features], persons, persons, labels)
    assert [(i, j) for i, j, p in found.swaps if p > 0.5] == [(normal, masked)]
    assert (found.p_correct[[normal, masked]] < 0.1).all()
    assert (np.delete(found.p_correct, [normal, masked]) > 0.5).all()
    assert MASKS[found.predicted[normal]] == "worn"


def test_one_wrong_state_is_no_swap(rng: np.random.Generator) -> None:
    features, persons = lower_faces(rng)
    labels = np.tile(STATES, PEOPLE)
    labels[7 * 8 + 3] = MASKS.index("none")
    found = score_masks([features], persons, persons, labels)
    assert np.argmin(found.p_correct) == 7 * 8 + 3
    assert found.p_correct[7 * 8 + 3] < 0.9
    assert MASKS[found.predicted[7 * 8 + 3]] == "worn"
    assert not [swap for swap in found.swaps if swap[2] > 0.5]


def test_mask_states_that_are_too_few_are_named(rng: np.random.Generator) -> None:
    features, persons = lower_faces(rng)
    labels = np.tile(STATES, PEOPLE)
    labels[labels == MASKS.index("incorrect")] = MASKS.index("none")
    labels[:2] = MASKS.index("incorrect")
    found = score_masks([features], persons, persons, labels)
    assert found.notes == ["not checked: mask 'incorrect' (2 photos; it takes 5)"]
    assert np.isnan(found.p_correct[:2]).all()
    assert np.isfinite(found.p_correct[2:]).all()
    only = score_masks([features], persons, persons, np.zeros(len(labels), int))
    assert np.isnan(only.p_correct).all()
    assert only.lack == "all labels are 'worn'"


def identities(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors of PEOPLE with seven photos each: people 1 apart, photos of one person 0.35."""
    people = rng.standard_normal((PEOPLE, 64)) * (0.7 / 64**0.5)
    vectors = np.repeat(people, 7, axis=0) + rng.standard_normal((PEOPLE * 7, 64)) * (0.25 / 64**0.5)
    states = np.tile(STATES, PEOPLE)
    vectors += (rng.standard_normal((3, 64)) * 0.05)[states]  # masks shift everybody
    return vectors.astype(np.float32), np.repeat(np.arange(PEOPLE), 7), states


def test_an_identity_mismatch_is_found_with_its_person(rng: np.random.Generator) -> None:
    vectors, persons, states = identities(rng)
    guest, host = 7 * 3 + 4, 7 * 20 + 4
    vectors[host] = vectors[guest] + 0.01
    found = score_identity(vectors, persons, states, rng)
    assert np.argmin(found.p_correct) == host
    assert found.p_correct[host] < 0.05
    assert found.nearest_person[host] == 3
    assert (np.delete(found.p_correct, host) > 0.5).all()


def test_of_two_photos_both_are_suspects_and_a_single_one_is_not_evaluated(rng: np.random.Generator) -> None:
    vectors, persons, states = identities(rng)
    persons = np.append(persons, [100, 100, 101])
    states = np.append(states, [2, 2, 2])
    others = rng.standard_normal((3, 64)).astype(np.float32) * np.float32(0.7 / 8)
    found = score_identity(np.vstack([vectors, others]), persons, states, rng)
    assert (found.p_correct[-3:-1] < 0.5).all()
    assert np.isnan(found.p_correct[-1])


def test_photos_without_a_face_are_left_out(rng: np.random.Generator) -> None:
    vectors, persons, states = identities(rng)
    vectors[[0, 9]] = np.nan
    found = score_identity(vectors, persons, states, rng)
    assert np.isnan(found.p_correct[[0, 9]]).all()
    assert np.isfinite(np.delete(found.p_correct, [0, 9])).all()


def test_too_few_companions_is_a_note(rng: np.random.Generator) -> None:
    vectors, _, states = identities(rng)
    found = score_identity(vectors, np.arange(len(vectors)), states, rng)
    assert "no photo shares a person" in found.lack
    assert np.isnan(found.p_correct).all()
