"""Predictions of a trained network as further evidence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from audit.checks import run_checks
from audit.predictions import COLUMNS, LogOdds, log_odds, read_predictions
from audit.settings import AuditSettings
from data_manifests.errors import ConfigError
from data_manifests.taxonomy import AgeCuts
from tests.support.audit_data import draw_photos


def predict(rows: pd.DataFrame, sharpness: float, seed: int = 0) -> pd.DataFrame:
    """A table as `train folds` writes it: the truth, as a network of some sharpness sees it."""
    rng = np.random.default_rng(seed)
    mask = np.array([["worn", "incorrect", "none"].index(name) for name in rows["mask"]])
    gender = (rows["gender"] == "female").to_numpy().astype(int)
    target = mask * 6 + gender * 3 + np.digitize(rows["age"], [30, 60])
    logits = rng.standard_normal((len(rows), 18))
    logits[np.arange(len(rows)), target] += sharpness
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return pd.DataFrame(probability, columns=COLUMNS).assign(sample_id=rows["sample_id"])


def test_log_odds_sum_over_the_classes() -> None:
    sure = np.zeros((2, 18))
    sure[0, 3], sure[1, 13] = 1, 1  # worn female young; none male middle
    gender_age, mask = log_odds(sure)
    np.testing.assert_array_equal(np.sign(gender_age), [[1, -1, -1], [-1, 1, -1]])
    np.testing.assert_array_equal(np.sign(mask), [[1, 0], [-1, -1]])
    np.testing.assert_allclose(log_odds(np.full((1, 18), 1 / 18))[0], [[0, np.log(2), -np.log(2)]], atol=1e-6)


def test_predictions_supply_what_the_vectors_lack(tmp_path: Path) -> None:
    rows, features = draw_photos(np.random.default_rng(5))
    features = replace(  # nothing of gender, age or mask is left in the vectors
        features,
        appearance=np.random.default_rng(0).standard_normal(features.appearance.shape).astype(np.float32),
        lower_face=np.random.default_rng(1).standard_normal(features.lower_face.shape).astype(np.float32),
    )
    predict(rows, 6).to_parquet(tmp_path / "out_of_fold.parquet")
    flipped, aged = rows["person_id"] == "p004", rows["person_id"] == "p011"
    rows.loc[flipped, "gender"] = "female" if rows.loc[flipped, "gender"].iloc[0] == "male" else "male"
    rows.loc[aged, "age"] = 80 if rows.loc[aged, "age"].iloc[0] < 45 else 18
    odds = read_predictions(tmp_path / "out_of_fold.parquet", rows["sample_id"].tolist())
    alone, helped = (run_checks(rows, features, AgeCuts(), AuditSettings(), given) for given in (None, odds))
    for found in (alone, helped):
        assert list(found.groups.names[[4, 11]]) == ["p004", "p011"]
    assert helped.scores["gender"].p_correct[4] < 0.5 < alone.scores["gender"].p_correct[4]
    assert int(np.argmin(helped.scores["gender"].p_correct)) == 4
    assert int(np.argmin(helped.scores["age"].p_correct)) == 11
    assert helped.probes["mask"]["accuracy"] > 0.9 > alone.probes["mask"]["accuracy"]
    assert helped.probes["gender"]["accuracy"] > 0.9 > alone.probes["gender"]["accuracy"]


def test_random_predictions_do_little_harm(tmp_path: Path) -> None:
    rows, features = draw_photos(np.random.default_rng(6))
    predict(rows, 0).to_csv(tmp_path / "p.csv", index=False)
    odds = read_predictions(tmp_path / "p.csv", rows["sample_id"].tolist())
    alone, beside = (run_checks(rows, features, AgeCuts(), AuditSettings(), given) for given in (None, odds))
    assert beside.probes["gender"]["accuracy"] >= alone.probes["gender"]["accuracy"] - 0.03
    error = "mean_absolute_error_years"
    assert beside.probes["age"][error] <= alone.probes["age"][error] * 1.4  # of 40 people


def test_photos_without_a_line_are_counted_and_scored_by_the_rest(tmp_path: Path) -> None:
    rows, features = draw_photos(np.random.default_rng(7))
    predict(rows, 4).iloc[10:].to_parquet(tmp_path / "p.parquet")
    odds = read_predictions(tmp_path / "p.parquet", rows["sample_id"].tolist())
    assert odds.known.sum() == len(rows) - 10
    found = run_checks(rows, features, AgeCuts(), AuditSettings(), odds)
    assert f"10 of {len(rows)} photos have no line in the predictions" in found.notes
    assert np.isfinite(found.scores["gender"].p_correct).all()
    assert isinstance(odds.take(np.array([0, 11])), LogOdds)
    assert odds.take(np.array([0, 11])).known.tolist() == [False, True]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.assign(sample_id="x" + t["sample_id"]), "about other photos"),
        (lambda t: t.drop(columns="p_07"), "no column p_07"),
        (lambda t: pd.concat([t, t.head(1)]), "'s0000' more than once"),
        (lambda t: t.assign(p_03=t["p_03"] + 0.5), "no probabilities"),
        (lambda t: t.assign(p_03=-0.1), "no probabilities"),
    ],
)
def test_a_table_of_another_form_is_refused(spoil: object, message: str, tmp_path: Path) -> None:
    rows, _ = draw_photos(np.random.default_rng(8))
    spoil(predict(rows, 3)).to_csv(tmp_path / "p.csv", index=False)  # type: ignore[operator]
    with pytest.raises(ConfigError, match=message):
        read_predictions(tmp_path / "p.csv", rows["sample_id"].tolist())


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must be a \.parquet or \.csv file"):
        read_predictions(tmp_path / "absent.parquet", ["a"])
