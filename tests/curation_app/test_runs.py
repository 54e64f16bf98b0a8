"""The Runs page: what a real run shows, and what it says where a file is missing or broken."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser, expect
from streamlit.testing.v1 import AppTest

from curation_app.runs.run_predictions import mistakes_of, predictions_for
from curation_app.runs.run_table import recipe_text
from data_manifests.errors import ManifestError
from data_manifests.labels import TASKS, UNKNOWN
from data_manifests.taxonomy import split_class_id
from data_manifests.versions.store import Store
from pipeline.runs import list_runs
from reporting.mistakes import worst_mistakes
from tests.support.app_pages import open_page, texts
from tests.support.app_server import browsing, serving
from tests.support.app_tiles import PATIENCE_MS, tiles_data
from tests.support.train_drawn import tiny_settings, write_people
from train.engine.training_run import train_and_report


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with one finished run of two epochs, to be copied."""
    store = Store(tmp_path_factory.mktemp("trained"))
    write_people(store, 12, 6)
    train_and_report(store, "drawn", tiny_settings(optim={"epochs": 2}), once=False, echo=lambda line: None)
    return store.workspace


@pytest.fixture
def store(trained: Path, tmp_path: Path) -> Store:
    shutil.copytree(trained, tmp_path / "workspace")
    return Store(tmp_path / "workspace")


def run_folder(store: Store) -> Path:
    return store.workspace / "runs" / "drawn-0001"


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def charts(bench: AppTest) -> list[str]:
    """The Vega specifications on the page."""
    return [one.proto.spec for kind in ("vega_lite_chart", "arrow_vega_lite_chart") for one in bench.get(kind)]


def test_a_run_of_train_is_shown_whole(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = open_page("runs", store, "drawn@1", monkeypatch)
    [table] = bench.dataframe
    scores = json.loads((run_folder(store) / "scores.json").read_text())
    assert table.value["F1"].tolist() == [scores["scores"]["f1"]]
    assert table.value["Trained on"].tolist() == ["drawn@1"]
    assert table.value["State"].tolist() == ["finished"]
    assert "2 epochs" in table.value["Recipe"][0]
    figures = {one.label: one.value for one in bench.metric}
    assert figures["Macro F1, mask"] == f"{scores['scores']['mask_f1']:.3f}"
    assert len(charts(bench)) == 3 + 4  # curves; confusion of all, mask, gender, age
    assert bench.get("download_button")
    assert not bench.error


def test_the_worst_mistakes_are_those_of_the_report_and_lead_to_the_review_page(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    [run] = list_runs(store)
    predictions = pq.read_table(run.path / "predictions.parquet").to_pandas()
    expected = worst_mistakes(predictions, 8)["sample_id"].tolist()
    assert expected  # a network of two epochs makes some
    assert [mistake["sample_id"] for mistake in mistakes_of(run, 8)] == expected
    bench = open_page("runs", store, "drawn@1", monkeypatch, "Kim")
    given = tiles_data(bench)
    assert [tile["id"] for tile in given["tiles"]][:8] == expected
    assert given["actions"] == []
    person = predictions.set_index("sample_id").loc[expected[0], "person_id"]
    assert given["tiles"][0]["href"] == f"./?manifest=drawn%401&by=Kim&queue=person&at={person}"
    assert given["tiles"][0]["hint"].endswith("%")


def test_predictions_are_found_by_sample_id(store: Store) -> None:
    [run] = list_runs(store)
    table = store.read("drawn@1").table
    said = predictions_for(run, pc.take(table["sample_id"], [3, 0]))
    by_id = {row["sample_id"]: row for row in pq.read_table(run.path / "predictions.parquet").to_pylist()}
    ids = [table["sample_id"][at].as_py() for at in (3, 0)]
    assert [*zip(*(said.labels[task].tolist() for task in TASKS), strict=True)] == [
        tuple(part.item() for part in split_class_id(np.array(by_id[name]["predicted"]))) for name in ids
    ]
    with pytest.raises(ManifestError, match="none of this one"):
        predictions_for(run, pc.binary_join_element_wise(table["sample_id"], "x", ""))
    half = pc.if_else(pc.equal(table["sample_id"], ids[0]), "unknown", table["sample_id"])
    part = predictions_for(run, half)
    assert {part.labels[task][3] for task in TASKS} == {UNKNOWN}
    assert UNKNOWN not in part.labels["gender"][:3]


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("scores.json", "has no scores\\.json yet"),
        ("metrics.csv", "has no metrics\\.csv yet"),
        ("predictions.parquet", "has no predictions yet"),
        ("report.html", "It has no report.html yet"),
    ],
)
def test_a_missing_file_is_told_and_the_rest_is_shown(
    store: Store, monkeypatch: pytest.MonkeyPatch, missing: str, told: str
) -> None:
    (run_folder(store) / missing).unlink()
    bench = open_page("runs", store, "drawn@1", monkeypatch)
    assert told in texts(bench)
    assert charts(bench)


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["scores.json", "metrics.csv", "predictions.parquet", "config.yaml", "run.json"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[1, 2", b"a,b\n1\n", b"null"])
def test_a_broken_file_is_no_traceback(
    store: Store, monkeypatch: pytest.MonkeyPatch, broken: str, content: bytes
) -> None:
    (run_folder(store) / broken).write_bytes(content)
    bench = open_page("runs", store, "drawn@1", monkeypatch)
    assert "Training runs" in texts(bench)


@pytest.mark.parametrize(
    "scores",
    [
        {"confusion": {"mask": [[1, 2]]}},
        {"scores": {"f1": None}, "intervals": {}},
        {"intervals": {"f1": [None, 1]}, "confusion": [1], "scores": "x"},
    ],
)
def test_scores_of_another_version_of_the_toolkit(
    store: Store, monkeypatch: pytest.MonkeyPatch, scores: dict[str, Any]
) -> None:
    change(run_folder(store) / "scores.json", **scores)
    assert "Worst mistakes" in texts(open_page("runs", store, "drawn@1", monkeypatch))


@pytest.mark.slow
def test_states(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    file = run_folder(store) / "run.json"
    change(file, state="started")
    assert [run.state for run in list_runs(store)] == ["running"]
    (run_folder(store) / "scores.json").rename(store.workspace / "scores.json")
    (run_folder(store) / "predictions.parquet").unlink()
    bench = open_page("runs", store, "drawn@1", monkeypatch)
    assert "appear when it has finished" in texts(bench)
    assert len(charts(bench)) == 3
    assert not bench.error
    (run_folder(store) / "metrics.csv").rename(store.workspace / "metrics.csv")
    assert not open_page("runs", store, "drawn@1", monkeypatch).error  # the first epoch is not over
    (store.workspace / "metrics.csv").rename(run_folder(store) / "metrics.csv")
    for entry in run_folder(store).iterdir():
        os.utime(entry, (time.time() - 3600,) * 2)
    assert [run.state for run in list_runs(store)] == ["interrupted"]
    assert "facecurate train resume drawn-0001" in texts(open_page("runs", store, "drawn@1", monkeypatch))
    change(file, state="failed", error="the loss is `nan` at step 7")
    assert "the loss is \\`nan\\` at step 7" in texts(open_page("runs", store, "drawn@1", monkeypatch))


@pytest.mark.slow
def test_a_version_that_was_written_anew_is_not_taken_for_the_one_trained_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(run_folder(store) / "run.json", content_hash="0" * 64)
    assert "is no longer what run" in texts(open_page("runs", store, "drawn@1", monkeypatch))
    change(run_folder(store) / "run.json", manifest="gone@3")
    assert "manifest 'gone' is not in" in texts(open_page("runs", store, "drawn@1", monkeypatch)).replace("\\", "")


def test_no_runs_says_what_to_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(store.workspace / "runs")
    assert "facecurate train fit REF" in texts(open_page("runs", store, "drawn@1", monkeypatch))


def test_the_newest_run_comes_first_and_the_address_chooses(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    again = store.workspace / "runs" / "drawn-0002"
    shutil.copytree(run_folder(store), again)
    change(again / "run.json", created="2099-01-01T00:00:00+00:00")
    bench = open_page("runs", store, "drawn@1", monkeypatch)
    assert bench.selectbox(key="runs run").options == ["drawn-0002", "drawn-0001"]
    assert bench.selectbox(key="runs run").value == "drawn-0002"


def test_a_recipe_in_a_few_words() -> None:
    settings = {
        "model": {"backbone": "resnet18", "embedding": ""},
        "data": {"sampler": "class", "size": [96, 72]},
        "loss": {"terms": {"cross_entropy": 1.0, "f1": 0.5}},
        "optim": {"epochs": 20},
    }
    assert recipe_text(settings) == "resnet18, cross entropy + f1, class sampler, 96×72, 20 epochs"
    assert recipe_text({"model": None, "optim": [1]}) == ""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


@pytest.mark.slow
def test_a_mistake_opens_its_person_in_review(store: Store, browser: Browser) -> None:
    with serving(store.workspace) as server:
        page = browser.new_context(viewport={"width": 1280, "height": 2600}).new_page()
        page.goto(f"{server.url}/runs?manifest=drawn@1&by=Kim")
        first = page.locator(".tile").first
        expect(first).to_be_visible(timeout=PATIENCE_MS)
        person = first.locator(".head").inner_text().split()[0]
        first.hover()
        with page.context.expect_page() as opened:
            first.locator(".link").click()
        expect(opened.value.locator(".person")).to_contain_text(person, timeout=PATIENCE_MS)
