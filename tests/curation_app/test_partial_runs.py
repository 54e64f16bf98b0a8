"""Runs that predict some of the tasks, on the pages Runs and Grid: no figure of a task that is not measured."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from curation_app.runs.run_predictions import mistakes_of, predictions_for
from curation_app.runs.run_scores import read_scores
from data_manifests.labels import UNKNOWN
from data_manifests.versions.store import Store
from pipeline.runs import Run, list_runs
from tests.support.app_pages import open_page, texts
from tests.support.app_tiles import tiles_data
from tests.support.partial_sets import write_partial
from tests.support.train_drawn import tiny_settings
from train.engine.training_run import train_and_report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a run on photos with labels of mask alone, to be copied."""
    store = Store(tmp_path_factory.mktemp("trained"))
    write_partial(store, "mask")
    settings = tiny_settings(optim={"epochs": 1, "metric": "auto"}, model={"head": "auto"})
    train_and_report(store, "partial", settings, once=False, echo=lambda line: None)
    return store.workspace


@pytest.fixture
def store(trained: Path, tmp_path: Path) -> Store:
    shutil.copytree(trained, tmp_path / "copy")
    return Store(tmp_path / "copy")


def only_run(store: Store) -> Run:
    [run] = list_runs(store)
    return run


def test_runs_page_shows_the_trained_task_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = open_page("runs", store, "partial@1", monkeypatch)
    shown = texts(bench)
    assert [metric.label for metric in bench.metric] == ["Macro F1, mask"]
    assert "18 classes" not in shown
    assert "not measurable" not in shown
    [table] = bench.dataframe
    assert [name for name in table.value.columns if name.startswith(("F1", "Acc"))] == ["F1 mask"]
    mistakes = tiles_data(bench)["tiles"] if mistakes_of(only_run(store), 9) else []
    assert all(tile["label"] in ("worn", "incorrect", "no mask") for tile in mistakes)


def test_score_of_a_single_class_is_not_shown(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = only_run(store)
    scores = run.scores()
    scores["confusion"]["mask"] = [[9, 0, 0], [0, 0, 0], [0, 0, 0]]
    scores["scores"]["mask_f1"] = 1.0
    del scores["not_measurable"]  # as versions up to 0.2 wrote it
    (run.path / "scores.json").write_text(json.dumps(scores))
    assert read_scores(run).values == {}
    bench = open_page("runs", store, "partial@1", monkeypatch)
    [metric] = bench.metric
    assert (metric.value, metric.delta) == ("–", "not measurable: one class in validation")
    assert "1.000" not in texts(bench)
    assert "F1 mask" not in bench.dataframe[0].value.columns


def test_grid_groups_by_the_predicted_task(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = open_page("grid", store, "partial@1", monkeypatch, "Kim")
    bench.segmented_control[0].set_value("predicted").run()
    assert bench.selectbox(key="grid field predicted").options == ["Mask"]
    bench.selectbox(key="grid differ").set_value("all photos").run()
    assert tiles_data(bench)["total"] > 0
    found = predictions_for(only_run(store), store.read("partial@1").table["sample_id"])
    assert list(found.labels) == ["mask"]
    assert UNKNOWN not in found.labels["mask"]


def test_grid_without_labels_names_no_training(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write_partial(store, "none", 6, name="plain")
    bench = open_page("grid", store, "plain@1", monkeypatch, "Kim")
    bench.segmented_control[0].set_value("predicted").run()
    assert "has no labels to train on" in texts(bench)
    assert not bench.error
