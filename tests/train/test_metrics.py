"""Scores against values by hand, scikit-learn and torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score
from torchmetrics.functional.classification import multiclass_f1_score

from data_manifests.labels import labels_of_class
from data_manifests.taxonomy import split_class_id
from train.evaluation.bootstrap import bootstrap_intervals
from train.evaluation.metrics import (
    EpochCounts,
    calibration_error,
    confusion_of,
    f1_per_class,
    macro_f1,
    scores_of,
    task_counts,
)


def table_of(target: list[int], predicted: list[int]) -> np.ndarray:
    """Return the counts (18, 18) of classes."""
    return task_counts(confusion_of(labels_of_class(np.array(target)), np.array(predicted)), "class")


labels = st.lists(st.tuples(st.integers(0, 17), st.integers(0, 17)), min_size=1, max_size=300).map(np.array)


def test_by_hand() -> None:
    # classes 0 (worn male young) and 16 (none female middle); one of each mistaken for 2 (worn male old)
    target = np.array([0, 0, 0, 16, 16])
    predicted = np.array([0, 0, 2, 16, 2])
    scores = scores_of(confusion_of(labels_of_class(target), predicted))
    # class 0: precision 1, recall 2/3 → 0.8; class 16: precision 1, recall 1/2 → 2/3; class 2 has no true sample
    assert scores["f1"] == pytest.approx((0.8 + 2 / 3) / 2)
    assert scores["accuracy"] == pytest.approx(3 / 5)
    # mask: worn 3 of 3 with one false alarm → 6/7; none 1 of 2 → 2/3; incorrect absent
    assert scores["mask_f1"] == pytest.approx((6 / 7 + 2 / 3) / 2)
    assert scores["mask_accuracy"] == pytest.approx(4 / 5)
    # age: young 0.8, middle 2/3, old absent
    assert scores["age_f1"] == pytest.approx((0.8 + 2 / 3) / 2)


@pytest.mark.slow
@given(labels)
@settings(deadline=None)
def test_as_scikit_learn_over_present_classes(pairs: np.ndarray) -> None:
    target, predicted = pairs.T
    scores = scores_of(confusion_of(labels_of_class(target), predicted))
    for name, t, p in [
        ("", target, predicted),
        *zip(("mask_", "gender_", "age_"), split_class_id(target), split_class_id(predicted), strict=True),
    ]:
        if len(np.unique(t)) == 1:
            assert (scores[f"{name}f1"], scores[f"{name}accuracy"]) == (None, None)
            continue
        expected = f1_score(t, p, labels=np.unique(t), average="macro", zero_division=0)
        assert scores[f"{name}f1"] == pytest.approx(expected)
        assert scores[f"{name}accuracy"] == pytest.approx(accuracy_score(t, p))


def test_as_torchmetrics_when_every_class_is_present() -> None:
    rng = np.random.default_rng(0)
    target, predicted = np.arange(400) % 18, rng.integers(0, 18, 400)
    expected = multiclass_f1_score(torch.tensor(predicted), torch.tensor(target), 18, average="macro")
    assert macro_f1(task_counts(confusion_of(labels_of_class(target), predicted), "class")) == pytest.approx(
        float(expected), abs=1e-6
    )


def test_over_the_epoch_is_not_the_mean_over_batches() -> None:
    counts, logits = EpochCounts(torch.device("cpu")), torch.eye(18)
    batches = [([0, 0, 0, 1], [0, 0, 0, 0]), ([1, 1], [1, 1])]
    for target, predicted in batches:
        counts.add(logits[predicted], torch.tensor(labels_of_class(np.array(target))))
    whole = scores_of(counts.counts())["f1"]
    assert whole == pytest.approx((6 / 7 + 0.8) / 2)
    assert np.mean([macro_f1(table_of(t, p)) for t, p in batches]) != pytest.approx(whole)


def test_absent_classes_have_no_score() -> None:
    f1 = f1_per_class(table_of([3], [4]))
    assert f1[3] == 0
    assert np.isnan(np.delete(f1, 3)).all()
    assert np.isnan(macro_f1(np.zeros((18, 18), int)))


@given(labels)
@settings(deadline=None)
def test_the_tables_of_the_tasks_count_every_row(pairs: np.ndarray) -> None:
    counts = confusion_of(labels_of_class(pairs[:, 0]), pairs[:, 1])
    for task in ("class", "mask", "gender", "age"):
        assert task_counts(counts, task).sum() == len(pairs)


def test_intervals_contain_the_score_and_widen_when_people_repeat() -> None:
    rng = np.random.default_rng(0)
    target = np.arange(360) % 18
    predicted = np.where(rng.random(360) < 0.8, target, (target + 1) % 18)
    score = scores_of(confusion_of(labels_of_class(target), predicted))["accuracy"]

    def interval(persons: list[str], t: np.ndarray, p: np.ndarray) -> tuple[float, float]:
        return bootstrap_intervals(labels_of_class(t), p, persons, np.random.default_rng(1), 400)["accuracy"]

    low, high = interval([f"p{i}" for i in range(360)], target, predicted)
    assert low < score < high
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.16 / 360), rel=0.2)  # the normal approximation
    # four copies of the same pictures are not more people
    four = interval([f"p{i % 360}" for i in range(1440)], np.tile(target, 4), np.tile(predicted, 4))
    assert four[1] - four[0] == pytest.approx(high - low, rel=0.2)


def test_calibration_error_by_hand() -> None:
    probability = np.full((10, 18), 0.2 / 17, np.float32)
    probability[:, 4] = 0.8  # ten predictions at 0.8 confidence, six correct
    target = np.array([4] * 6 + [5] * 4)
    assert calibration_error(probability, target) == pytest.approx(0.2, abs=1e-5)
