"""Comparison of manifests on one set of validation photos."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from sklearn.metrics import f1_score

from data_manifests.errors import ConfigError, ManifestError
from data_manifests.labels import labels_of_class
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions.store import Store
from tests.support.train_drawn import rows_of, write_rows
from tests.train.test_report import SETTINGS
from train.cli.main import cli
from train.evaluation.bootstrap import paired_scores
from train.studies.compare import common_truth

rng = np.random.default_rng(0)
TARGET = np.tile(np.arange(18), 40)
PERSONS = [f"p{index // 6}" for index in range(len(TARGET))]


def wrong(share: float, seed: int) -> np.ndarray:
    """Return TARGET with a share of it replaced by the next class; a larger share includes the smaller ones."""
    return np.where(np.random.default_rng(seed).random(len(TARGET)) < share, (TARGET + 1) % 18, TARGET)


def test_scores_are_means_over_seeds_and_differences_are_paired() -> None:
    base = np.stack([wrong(0.4, 1), wrong(0.4, 2)])
    better = np.stack([np.where(wrong(0.5, 3) == TARGET, TARGET, row) for row in base])  # half of the errors corrected
    first, second = paired_scores(
        labels_of_class(TARGET), {"a": base, "b": better}, PERSONS, np.random.default_rng(0), 200
    )
    f1 = [f1_score(TARGET, row, average="macro") for row in base]
    assert first["scores"]["f1"] == pytest.approx(np.mean(f1))
    assert first["spread"]["f1"] == pytest.approx(np.std(f1))
    assert (first["difference"]["f1"], first["low"]["f1"], first["high"]["f1"]) == (0, 0, 0)
    assert 0 < second["low"]["f1"] < second["difference"]["f1"] < second["high"]["f1"]
    assert second["difference"]["f1"] == pytest.approx(second["scores"]["f1"] - first["scores"]["f1"])


def test_pairing_is_narrower_than_two_intervals() -> None:
    base = wrong(0.4, 1)[None]
    better = np.where(np.arange(len(TARGET)) % 50 == 0, TARGET, base)
    second = paired_scores(labels_of_class(TARGET), {"a": base, "b": better}, PERSONS, np.random.default_rng(0), 300)[1]
    paired = second["high"]["accuracy"] - second["low"]["accuracy"]
    # the standard error of one accuracy of 0.6 over 720 rows is 0.018; the difference touches 15 rows only
    assert paired < 0.018


def test_equal_networks_have_an_interval_around_zero() -> None:
    scores = paired_scores(
        labels_of_class(TARGET), {"a": wrong(0.4, 1)[None], "b": wrong(0.4, 2)[None]}, PERSONS, rng, 300
    )[1]
    assert scores["low"]["f1"] < 0 < scores["high"]["f1"]


def people(store: Store) -> list[dict]:
    return rows_of(store, 12, split="train") + rows_of(store, 6, split="val", first=12)


def test_photos_count_only_when_every_manifest_has_them(store: Store) -> None:
    rows = people(store)
    write_rows(store, rows, "all")
    write_rows(
        store,
        [row | {"status": "excluded"} if row["sample_id"] == rows[36]["sample_id"] else row for row in rows],
        "fewer",
    )
    twins = rows_of(store, 1, split="val", first=12, synthetic=True)
    write_rows(store, rows + twins, "more")
    manifests = [store.read(name) for name in ("all", "fewer", "more")]
    truth = common_truth(manifests[0], manifests)
    assert truth["source_id"].tolist() == [row["source_id"] for row in rows[37:]]


def test_trained_people_and_other_age_cuts_are_refused(store: Store) -> None:
    rows = people(store)
    write_rows(store, rows, "one")
    write_rows(store, [row | {"split": {"train": "val", "val": "train"}[row["split"]]} for row in rows], "turned")
    with pytest.raises(ManifestError, match=r"turned@1 trains on 6 people of the validation photos of one@1"):
        common_truth(store.read("one"), [store.read("one"), store.read("turned")])
    write_rows(store, rows, "cuts", AgeCuts(45, 60))
    with pytest.raises(ManifestError, match=r"cuts@1 has other age cuts than one@1"):
        common_truth(store.read("one"), [store.read("cuts")])
    write_rows(store, rows_of(store, 2, split="val", first=20), "other")
    with pytest.raises(ManifestError, match=r"no validation photo of one@1 is in all of the manifests"):
        common_truth(store.read("one"), [store.read("other")])


@pytest.mark.slow
def test_the_command_trains_once_and_evaluates_with_the_last_labels(store: Store) -> None:
    rows = people(store)
    first = write_rows(store, rows)
    table = store.read("drawn").table
    mask = table["mask"].to_pylist()
    mask[36] = "worn" if mask[36] == "none" else "none"  # a correction of the first validation photo
    corrected = table.set_column(table.column_names.index("mask"), "mask", pa.array(mask))
    store.write("drawn", corrected, "apply", parents=[first])
    words = ["compare", "drawn@1", "drawn@2", "--seeds", "2", *SETTINGS, "optim.epochs=1"]
    environment = {"WORKSPACE": str(store.workspace)}
    done = CliRunner().invoke(cli, words, env=environment, catch_exceptions=False)
    result = json.loads((store.workspace / "comparisons" / "compare-0001.json").read_text())
    assert (result["rows"], result["people"], result["seeds"], result["val"]) == (18, 6, 2, "drawn@2")
    assert [entry["runs"] for entry in result["compared"]] == [
        ["drawn-0001", "drawn-0002"], ["drawn-0003", "drawn-0004"]
    ]  # fmt: skip
    *_, report, following = done.stdout.splitlines()
    assert report.endswith(str(store.workspace / "comparisons" / "compare-0001.html"))
    assert following in ("next: facecurate train refit drawn-0001", "next: facecurate train refit drawn-0003")
    page = (store.workspace / "comparisons" / "compare-0001.html").read_text()
    links = re.findall(r'href="([^"#]+)"', page)
    assert len(links) == 4
    assert all((store.workspace / "comparisons" / link).resolve().is_file() for link in links)
    again = CliRunner().invoke(cli, words, env=environment, catch_exceptions=False)
    assert again.output.count("exists already") == 4
    assert json.loads((store.workspace / "comparisons" / "compare-0002.json").read_text()) == result

    printed = CliRunner().invoke(cli, [*words, "--json"], env=environment, catch_exceptions=False)
    report = store.workspace / "comparisons" / "compare-0003.html"
    assert json.loads(printed.stdout) == result | {"report": str(report), "values": str(report.with_suffix(".json"))}
    assert printed.stderr.strip().endswith(str(report))


@pytest.mark.slow
def test_fit_and_evaluate_print_one_json_object(store: Store) -> None:
    write_rows(store, people(store))
    environment = {"WORKSPACE": str(store.workspace)}
    words = ["fit", "drawn", *SETTINGS, "optim.epochs=1", "--once", "--json"]
    first, again = (CliRunner().invoke(cli, words, env=environment, catch_exceptions=False) for _ in range(2))
    run = store.workspace / "runs" / "drawn-0001"
    result = json.loads(first.stdout)
    assert result == json.loads(again.stdout)
    assert result | {"scores": None} == {
        "run": "drawn-0001", "path": str(run), "state": "finished", "manifest": "drawn@1", "best_epoch": 1,
        "report": str(run / "report.html"), "scores": None,
    }  # fmt: skip
    assert result["scores"] == json.loads((run / "scores.json").read_text())["scores"]
    assert "exists already" in again.stderr
    evaluated = CliRunner().invoke(cli, ["evaluate", "drawn-0001", "--json"], env=environment, catch_exceptions=False)
    about = json.loads(evaluated.stdout)
    assert about["scores"] == result["scores"]
    assert (about["run"], about["manifest"], about["split"], about["rows"]) == ("drawn-0001", "drawn@1", "val", 18)
    assert json.loads((run / "evaluate-drawn-1-val.json").read_text())["scores"] == about["scores"]


def test_a_comparison_needs_two_manifests(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs at least two manifests"):
        CliRunner().invoke(cli, ["compare", "drawn@1", "seed=1"], catch_exceptions=False)
