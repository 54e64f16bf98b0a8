"""Comparison, folds, ensembles, attention and shortcuts on a set that is labelled for masks alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from data_manifests.labels import UNKNOWN
from data_manifests.splits import assign_splits
from data_manifests.versions.store import Store
from tests.support.partial_sets import write_partial
from tests.support.train_drawn import tiny_settings
from train.engine.training_run import refit_run, train_and_report
from train.evaluation import ensemble_to_csv
from train.explain import show_attention
from train.explain.shortcuts import NO_FACE, measured_tasks, score_view, shortcuts_in, text_lines
from train.studies import compare_manifests, cross_validate

SETTINGS = tiny_settings(model={"head": "auto"}, optim={"epochs": 1, "metric": "auto"}, data={"augment": {}})


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Write version 1, split, and version 2 with three folds; train partial-0001 and -0002 on version 1."""
    torch.set_num_threads(1)
    store = Store(tmp_path_factory.mktemp("masks") / "workspace")
    first = write_partial(store, "mask")
    store.write("partial", assign_splits(store.read(first.ref).table, folds=3), "split", parents=[first])
    for seed in range(2):
        settings = SETTINGS.model_copy(update={"seed": seed})
        train_and_report(store, "partial@1", settings, once=False, echo=lambda line: None)
    return store


@pytest.mark.slow
def test_a_comparison_is_by_the_task(masks: Store) -> None:
    messages: list[str] = []
    result = compare_manifests(masks, ["partial@1", "partial@2"], SETTINGS, 1, "partial@1", None, echo=messages.append)
    assert (result["headline"], result["rows"]) == ("mask_f1", 9)
    assert result["not_measurable"] == {"class": "not trained", "gender": "not trained", "age": "not trained"}
    assert all(entry["scores"]["f1"] is None for entry in result["compared"])
    assert any(line.startswith("manifest") and "mask macro F1" in line for line in messages)
    page = Path(result["report"]).read_text("utf8")
    assert "mask macro F1" in page
    assert "gender F1" not in page
    assert "nan" not in json.dumps(result).lower()


@pytest.mark.slow
def test_folds_write_the_probability_of_the_task_alone(masks: Store) -> None:
    messages: list[str] = []
    folder = cross_validate(masks, "partial@2", SETTINGS, echo=messages.append)
    table = pd.read_parquet(folder / "out_of_fold.parquet")
    assert len(table) == 36
    assert table["mask_score"].between(0, 1).all()
    assert table[["gender_score", "age_score"]].isna().all(axis=None)
    assert (table["mask_target"] != UNKNOWN).all()
    result = json.loads((folder / "folds.json").read_text("utf8"))
    assert (result["headline"], result["scores"]["f1"]) == ("mask_f1", None)
    assert "out of fold: mask macro F1" in messages[-1]


@pytest.mark.slow
def test_an_ensemble_is_scored_on_the_task(masks: Store, tmp_path: Path) -> None:
    messages: list[str] = []
    names = ["partial-0001", "partial-0002"]
    about = ensemble_to_csv(masks, names, tmp_path / "out.csv", how="weighted", echo=messages.append)
    assert [entry["scores"]["f1"] for entry in about["judged"]] == [None] * 3
    assert all(entry["scores"]["mask_f1"] is not None for entry in about["judged"])
    assert sum("mask macro F1" in line for line in messages) == 3


@pytest.mark.slow
def test_attention_sheets_are_by_label(masks: Store) -> None:
    page = show_attention(masks, "partial-0001", None, per_class=1, measured=1, echo=lambda line: None)
    names = sorted(path.stem for path in page.parent.glob("*.png"))
    assert names == ["00-worn", "01-incorrect", "02-none"]
    groups = [group["name"] for group in json.loads((page.parent / "attention.json").read_text())["groups"]]
    assert set(groups) <= {"all", "right", "wrong", "worn", "incorrect", "none"}


@pytest.mark.slow
def test_a_refit_keeps_the_chosen_head(masks: Store) -> None:
    run = refit_run(masks, "partial-0001", echo=lambda line: None)
    assert (run.settings()["model"]["head"], run.about()["state"]) == ("mask", "finished")
    assert run.about()["ledger"] == {"train": 36}


def test_shortcuts_are_of_the_tasks_that_can_be_measured() -> None:
    rows = np.arange(60)
    frame = pd.DataFrame({"person_id": rows.astype(str), "mask_target": rows % 3, "gender_target": 0, "age_target": -1})
    frame[NO_FACE] = frame["mask_target"] * 6
    line = score_view(NO_FACE, frame, ["mask", "gender"])
    assert measured_tasks([line]) == ["mask"]
    assert line["mask"]["balanced"] == 1
    assert shortcuts_in([line])[0].startswith("Mask is predicted without the face")
    assert "gender" not in text_lines([line])[0]
