"""Cross-validation by person, and refitting on all people up to the best epoch."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

from audit.predictions import read_predictions
from data_manifests.errors import ConfigError, ManifestError, StageError
from data_manifests.splits.assign import assign_splits
from data_manifests.versions.metadata import Version
from data_manifests.versions.store import Store
from pipeline.runs import CONFIG, find_run
from tests.support.train_drawn import rows_of, tiny_settings, write_people, write_rows
from train.engine.training_run import refit_run, train_and_report
from train.evaluation.predict import PROBABILITIES
from train.models.checkpoint import load_trained
from train.rows.row_selection import select_rows
from train.settings import check_combination, load_train_settings
from train.studies.cross_validation import COLUMNS, cross_validate, given_label_probability

SETTINGS = tiny_settings(optim={"lr": 0.004, "epochs": 2})


def quiet(line: str) -> None:
    """Ignore a message."""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def with_folds(store: Store, people: int = 12, folds: int = 3) -> Version:
    """Write people with folds: the last two are test people, the first two also have synthetic copies."""
    rows = [row | {"split": None} for row in rows_of(store, people - 2, split="train")]
    rows += rows_of(store, 2, split="test", first=people - 2)
    rows += [row | {"split": None} for row in rows_of(store, 2, split="train", synthetic=True)]
    version = write_rows(store, rows)
    return store.write("drawn", assign_splits(store.read("drawn").table, folds=folds), "split", parents=[version])


def test_a_fold_validates_on_its_people_and_trains_on_the_others(store: Store) -> None:
    with_folds(store)
    manifest = store.read("drawn")
    seen: list[str] = []
    for fold in range(3):
        selection = select_rows(manifest, tiny_settings(data={"fold": fold}).data)
        val, train = (set(part["person_id"].to_pylist()) for part in (selection.val, selection.train))
        assert not val & train
        assert len(val | train) == 10
        assert set(selection.val["fold"].to_pylist()) == {fold}
        assert set(selection.val["split"].to_pylist()) == {"val"}
        assert selection.ledger["test"] == 6
        assert not any(selection.val["is_synthetic"].to_pylist())
        seen += val
    assert sorted(seen) == sorted(set(seen))
    assert len(seen) == 10
    with pytest.raises(ManifestError, match=r"drawn@2 has no fold 3; its folds: \{0, 1, 2\}\. Run: .*split drawn@2"):
        select_rows(manifest, tiny_settings(data={"fold": 3}).data)


@pytest.mark.slow
def test_out_of_fold_predictions_join_the_manifest(store: Store) -> None:
    with_folds(store)
    messages: list[str] = []
    folder = cross_validate(store, "drawn", SETTINGS, echo=messages.append)
    table = pd.read_parquet(folder / "out_of_fold.parquet")
    result = json.loads((folder / "folds.json").read_text("utf8"))
    assert list(table)[: len(COLUMNS)] == COLUMNS
    manifest = store.read("drawn").table.to_pandas().set_index("sample_id")
    real = manifest[~manifest["is_synthetic"] & (manifest["split"] != "test")]
    assert set(table["sample_id"]) == set(real.index)
    joined = real.loc[table["sample_id"]]
    np.testing.assert_array_equal(table["target"], joined["class_id"])
    np.testing.assert_array_equal(table["fold"], joined["fold"])
    for fold, name in enumerate(result["runs"]):
        run = find_run(store, name)
        assert load_train_settings(run.path / CONFIG).data.fold == fold
        assert not set(joined["person_id"][table["run"].to_numpy() == name]) & set(
            manifest.loc[(manifest["fold"] != fold) & manifest["fold"].notna(), "person_id"]
        )
        mine = pd.read_parquet(run.path / "predictions.parquet").set_index("sample_id")
        rows = table[table["run"] == name]
        np.testing.assert_array_equal(mine.loc[rows["sample_id"], PROBABILITIES], rows[PROBABILITIES])
    assert result["scores"]["accuracy"] == pytest.approx((table["target"] == table["predicted"]).mean())
    assert "30 photos of 10 people of drawn@2" in messages[-1]
    evidence = read_predictions(folder / "out_of_fold.parquet", manifest.index.tolist())  # as the audit reads it
    np.testing.assert_array_equal(evidence.known, manifest.index.isin(real.index))
    rows = evidence.take(manifest.index.get_indexer(table["sample_id"]))
    female = [name for number, name in enumerate(PROBABILITIES) if number // 3 % 2 == 1]
    np.testing.assert_array_equal(rows.gender_age[:, 0] > 0, table[female].sum(axis=1) > 0.5)
    again = cross_validate(store, "drawn", SETTINGS, echo=quiet)  # existing runs are reused
    assert again == folder
    assert len(list((store.workspace / "runs").iterdir())) == 3


def test_the_probability_of_a_given_label_is_the_sum_over_its_classes() -> None:
    probability = np.random.default_rng(0).dirichlet(np.ones(18), 2)
    table = pd.DataFrame(probability, columns=PROBABILITIES).assign(
        target=[7, 17]
    )  # incorrect male mid; none female old
    assert given_label_probability(table, "mask") == pytest.approx(
        [probability[0, 6:12].sum(), probability[1, 12:].sum()]
    )
    cells = probability.reshape(2, 3, 2, 3)
    assert given_label_probability(table, "gender") == pytest.approx([cells[0, :, 0].sum(), cells[1, :, 1].sum()])
    assert given_label_probability(table, "age") == pytest.approx([cells[0, :, :, 1].sum(), cells[1, :, :, 2].sum()])


def test_the_error_without_folds_names_the_command(store: Store) -> None:
    write_people(store, train=2, val=1)
    with pytest.raises(ManifestError, match=r"drawn@1 has no folds\. Run: facecurate split drawn@1 --f"):
        cross_validate(store, "drawn", SETTINGS, echo=quiet)


@pytest.mark.slow
def test_refit_trains_on_all_people_up_to_the_best_epoch(store: Store) -> None:
    write_people(store, train=12, val=6)
    first = train_and_report(store, "drawn", tiny_settings(optim={"epochs": 4}), once=False, echo=quiet)
    best = first.about()["best_epoch"]
    second = refit_run(store, first.name, echo=quiet)
    about = second.about()
    assert (about["state"], about["best_epoch"], about["refit_of"]) == ("finished", best, first.name)
    assert about["ledger"] == {"train": 54}
    assert load_train_settings(second.path / CONFIG).optim.epochs == 4  # the schedule is that of the first run
    history = pd.read_csv(second.path / "metrics.csv")
    assert len(history) == best
    assert not [name for name in history if name.startswith("val_")]
    assert load_trained(second.path / "best.pt", torch.device("cpu")).epoch == best
    assert not (second.path / "scores.json").exists()  # there are no validation people left
    with pytest.raises(StageError, match=rf"run '{second.name}' has no best epoch"):
        refit_run(store, second.name, echo=quiet)


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"data": {"all_rows": True}, "optim": {"schedule": "plateau"}}, "plateau needs a validation score"),
        ({"data": {"all_rows": True, "fold": 1}}, "Set one of the two"),
        ({"data": {"mix": {"mixup": 0.2}}, "model": {"embedding": "dlib"}}, r"data\.mix mixes pictures"),
        ({"model": {"soft_sharing": 0.1}}, r"needs model\.networks=separate"),
    ],
)
def test_contradictory_settings_are_refused(sections: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check_combination(tiny_settings(**sections))
    flat = {f"{name}.{key}": str(value) for name, part in sections.items() for key, value in part.items()}
    with pytest.raises(ConfigError, match=words):
        load_train_settings(None, flat)


def test_augmentation_of_an_embedding_is_refused() -> None:
    assert (
        load_train_settings(None, {"model.embedding": "dlib"}).data.augment == {}
    )  # the settings of the run record it
    assert load_train_settings(None, {"model.embedding": "dlib", "data.augment": "{}"}).data.augment == {}
    with pytest.raises(
        ConfigError, match=r"data\.augment varies pictures, but model\.embedding=dlib computes one vector"
    ):
        load_train_settings(None, {"model.embedding": "dlib", "data.augment": "{flip: 0.5}"})
