"""Ridge regression with held-out predictions by person."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.scoring.linear_probe import PENALTIES, factorise, predict_held_out, select_penalty, standardise


def refit(features: np.ndarray, persons: np.ndarray, targets: np.ndarray, penalty: float) -> np.ndarray:
    """The slow way: for every person a ridge on all the others, columns and penalty as `predict_held_out` has them."""
    centred = (features - features.mean(axis=0)).astype(float)
    ones = np.column_stack([centred, np.ones(len(centred))])
    shrink = penalty * np.eye(ones.shape[1])
    shrink[-1, -1] = 0  # the mean is not penalised
    found = np.empty_like(targets, dtype=float)
    for person in np.unique(persons):
        others, own = ones[persons != person], ones[persons == person]
        found[persons == person] = own @ np.linalg.solve(
            others.T @ others + shrink, others.T @ targets[persons != person]
        )
    return found


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    photos=st.integers(12, 40),
    width=st.integers(2, 60),
    penalty=st.sampled_from([0.1, 1.0, 10.0]),
)
def test_held_out_is_a_refit_without_the_person(seed: int, photos: int, width: int, penalty: float) -> None:
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((photos, width)).astype(np.float32)
    persons = rng.integers(0, photos // 2, photos)
    persons[:4] = [0, 1, 2, 3]
    targets = rng.standard_normal((photos, 2))
    got = predict_held_out(factorise(features, persons), targets, penalty)
    np.testing.assert_allclose(got, refit(features, persons, targets, penalty), atol=2e-3)


def test_a_label_does_not_move_its_own_prediction() -> None:
    rng = np.random.default_rng(0)
    features, persons = standardise(rng.standard_normal((60, 20))), np.arange(60) // 2
    probe, targets = factorise(features, persons), rng.standard_normal((60, 1))
    moved = targets.copy()
    moved[[10, 11]] += 100
    before, after = predict_held_out(probe, targets, 1.0), predict_held_out(probe, moved, 1.0)
    np.testing.assert_allclose(before[[10, 11]], after[[10, 11]], atol=1e-3)
    assert np.abs(before - after).max() > 0.1


def test_noise_asks_for_a_stronger_penalty_than_signal() -> None:
    rng = np.random.default_rng(1)
    features = standardise(rng.standard_normal((200, 50)))
    probe = factorise(features, np.arange(200))
    signal = features @ rng.standard_normal((50, 1))
    assert select_penalty(probe, signal) == PENALTIES[0]
    assert select_penalty(probe, rng.standard_normal((200, 1))) >= PENALTIES[-2]


def test_standardise_keeps_constant_columns_harmless() -> None:
    block = standardise(np.column_stack([np.full(10, 7.0), np.arange(10.0)]))
    assert np.isfinite(block).all()
    assert not block[:, 0].any()
    assert block[:, 1].std() == pytest.approx(2**-0.5, rel=1e-4)
