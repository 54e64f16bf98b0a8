"""Gender and age scores: planted errors come first, and rare classes are not suspect for being rare."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from audit.scoring.age_model import score_ages
from audit.scoring.label_noise import confident_error_rate, estimate_posterior, probability_correct
from data_manifests.taxonomy import AgeCuts

N = 400


@pytest.fixture
def faces() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (N, 30) from which age can be told to about five years, persons and ages."""
    rng = np.random.default_rng(3)
    ages = rng.choice(np.concatenate([np.arange(18, 60), np.arange(25, 50)]), N).astype(float)
    ages[:24] = rng.integers(65, 85, 24)  # few are old
    direction = rng.standard_normal(30)
    features = np.outer((ages - 40) / 15, direction) / 30**0.5 + rng.standard_normal((N, 30)) * 0.25
    return (features / 30**0.5 * 5).astype(np.float32), np.arange(N), ages


def test_far_age_errors_come_first(faces: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    features, persons, ages = faces
    given = ages.copy()
    wrong = np.arange(30, 50)
    given[wrong] = np.where(ages[wrong] < 40, 75, 20)
    found = score_ages(features, persons, given, AgeCuts())
    assert set(np.argsort(found.p_correct)[:20]) == set(wrong)
    assert (found.p_correct[wrong] < 0.5).all()
    assert (found.p_correct[wrong] < 0.01).sum() == 19  # the other is a 41 that looks 35, given as 20
    assert (np.delete(found.p_correct, wrong) > 0.5).mean() > 0.98
    assert np.abs(found.predicted_years - ages).mean() < 8


def test_a_rare_age_is_not_suspect(faces: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    features, persons, ages = faces
    found = score_ages(features, persons, ages, AgeCuts())
    assert (found.p_correct[:24] > 0.5).all()


def test_larger_age_errors_are_more_suspect(faces: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    features, persons, ages = faces
    person = int(np.argmin(np.abs(ages - 26)))
    scores = []
    for age in (40, 48, 56, 70):
        given = ages.copy()
        given[person] = age
        scores.append(score_ages(features, persons, given, AgeCuts()).p_correct[person])
    assert scores == sorted(scores, reverse=True)


def test_an_age_that_is_not_filed_gets_a_look_but_no_score(faces: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    features, persons, ages = faces
    given = ages.copy()
    given[[5, 100]] = np.nan
    found = score_ages(features, persons, given, AgeCuts())
    assert np.isnan(found.p_correct[[5, 100]]).all()
    assert np.isfinite(found.predicted_years).all()
    assert np.isfinite(np.delete(found.p_correct, [5, 100])).all()


def test_right_given_follows_the_evidence_and_stays_a_probability() -> None:
    evidence = np.array([-200.0, -5.0, 0.0, 5.0, 200.0] + [4.0] * 100)
    right, rate = probability_correct(evidence)
    assert (np.diff(right[:5]) > 0).all()
    assert right.min() >= 0
    assert right.max() <= 1
    assert 0.005 < rate < 0.06


@pytest.mark.parametrize("share", [0.0, 0.02, 0.06])
def test_posterior_estimates_the_number_of_errors(share: float) -> None:
    rng = np.random.default_rng(8)
    true = rng.integers(0, 2, 2000)
    outputs = (true * 2.0 - 1 + rng.standard_normal(2000) * 0.45)[:, None]
    wrong = rng.random(2000) < share
    given = np.where(wrong, 1 - true, true)
    found = estimate_posterior(outputs, given, 2)
    suspicion = 1 - found.given_label[np.arange(2000), given]
    assert found.given_label.sum(axis=1) == pytest.approx(1)
    assert suspicion.sum() == pytest.approx(wrong.sum(), abs=16)
    if wrong.any():
        assert roc_auc_score(wrong, suspicion) > 0.98


def test_posterior_of_an_unlabelled_photo_is_the_photo_alone() -> None:
    rng = np.random.default_rng(2)
    true = rng.integers(0, 3, 300)
    outputs = np.eye(3)[true] + rng.standard_normal((300, 3)) * 0.2
    given = true.copy()
    given[:10] = -1
    found = estimate_posterior(outputs, given, 3)
    np.testing.assert_array_equal(found.given_label[:10], found.photo_only[:10])
    assert (found.photo_only[:10].argmax(axis=1) == true[:10]).mean() >= 0.9


def test_confident_error_rate_is_cleanlabs() -> None:
    labels = np.repeat([0, 1], 50)
    probabilities = np.where(labels[:, None] == [0, 1], 0.95, 0.05)
    assert confident_error_rate(labels, probabilities) == 0.001  # never none at all
    probabilities[:5] = probabilities[:5, ::-1]
    assert 0.03 < confident_error_rate(labels, probabilities) < 0.07
