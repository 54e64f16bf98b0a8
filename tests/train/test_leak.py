"""Leakage of a split by image: the splits, and the detection of recognised people."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner

from data_manifests.splits import find_leaks
from data_manifests.versions.store import Store
from pipeline.runs import Run
from tests.support.manifest_tables import manifest, photo
from tests.support.train_drawn import rows_of, tiny_settings, write_people, write_rows
from tests.train.test_report import SETTINGS
from train.cli.main import cli
from train.settings import TrainSettings
from train.studies.split_leakage import leakage_lines, leakage_table, resplit


@pytest.fixture
def people(store: Store) -> Store:
    write_people(store, train=30, val=10, synthetic=5)
    return store


def places(store: Store, unit: str, seed: int) -> pd.DataFrame:
    table = resplit(store.read("drawn").table, unit, seed)
    return table.select(["person_id", "split", "is_synthetic"]).to_pandas()


def test_the_same_people_are_held_out_and_the_rest_is_split_by_unit(people: Store) -> None:
    aside = []
    for seed in range(3):
        image, person = places(people, "image", seed), places(people, "person", seed)
        assert image.loc[image["is_synthetic"], "split"].isna().all()
        assert (image["split"] == "test").equals(person["split"] == "test")
        tested = set(image.loc[image["split"] == "test", "person_id"])
        assert len(tested) in (7, 8, 9)  # a fifth of 40, assigned within strata
        assert not tested & set(image.loc[image["split"].isin(["train", "val"]), "person_id"])
        sides = [set(person.loc[person["split"] == name, "person_id"]) for name in ("train", "val")]
        assert not sides[0] & sides[1]
        both = [set(image.loc[image["split"] == name, "person_id"]) for name in ("train", "val")]
        assert len(both[0] & both[1]) > 10
        for one in (image, person):
            assert (one["split"] == "val").sum() == pytest.approx((40 - len(tested)) * 3 / 4, abs=3)
        aside.append(tested)
    assert not aside[0] & aside[1]
    assert not (aside[0] | aside[1]) & aside[2]


def test_people_who_share_a_photo_are_held_out_together() -> None:
    table = manifest([photo(f"{name}{i:02d}", sha256=f"{i:064x}") for name in "ab" for i in range(20)])
    assert find_leaks(resplit(table, "person", 0)) == ()
    by_image = resplit(table, "image", 0)
    tested = by_image.filter(pc.equal(by_image["split"], "test"))["person_id"].to_pylist()
    assert sorted(name[1:] for name in tested) == sorted(2 * [name[1:] for name in tested if name[0] == "a"])


def test_recognised_people_are_detected(people: Store, tmp_path: Path) -> None:
    """Detect a network that knows the labels of its training people and guesses those of others."""
    parts: dict[str, pd.DataFrame] = {}

    def train(ref: str, settings: TrainSettings) -> Run:
        assert settings.data.allow_shared_persons
        run = Run(tmp_path / ref)
        run.path.mkdir()
        table = people.read(ref).table.select(["person_id", "split", "class_id"]).to_pandas().dropna()
        table = table.rename(columns={"class_id": "target"}).astype({"target": int})
        seen = table["person_id"].isin(table.loc[table["split"] == "train", "person_id"])
        guess = np.random.default_rng(settings.seed).integers(18, size=len(table))
        table["predicted"] = np.where(seen, table["target"], guess)
        table[table["split"] != "test"].to_parquet(run.path / "predictions.parquet")
        parts[run.name] = table[table["split"] == "test"]
        return run

    leak = leakage_table(
        people, "drawn", tiny_settings(), 3, train, lambda run: parts[run.name], np.random.default_rng(0)
    )
    image, person = leak["rows"]
    assert leak["test_rows"] == 3 * leak["test_people"]
    # sometimes all three photos of a person are validation photos
    assert image["claimed"]["accuracy"] > 0.85
    assert 0.85 * image["val_rows"] < image["trained_on"] <= image["val_rows"]
    assert image["true"]["accuracy"] < 0.2
    assert image["low"] > 0.5
    assert (person["trained_on"], person["claimed"]["f1"] < 0.2) == (0, True)
    assert abs(person["gap"]) < 0.15 < image["low"]
    assert [line.split()[0] for line in leakage_lines(leak)] == ["split", "image", "person"]


@pytest.mark.slow
def test_the_command_prints_both_splits_with_their_runs(store: Store) -> None:
    rows = rows_of(store, 12, split="train") + rows_of(store, 4, split="val", first=12)
    first = write_rows(store, rows)
    store.write("drawn", store.read("drawn").table, "again", parents=[first], parameters={"n": 2})
    words = ["compare", "drawn@1", "drawn@2", "--seeds", "1", "--leak", "drawn@1", *SETTINGS, "optim.epochs=1"]
    done = CliRunner().invoke(cli, words, env={"WORKSPACE": str(store.workspace)}, catch_exceptions=False)
    page = store.workspace / "comparisons" / "compare-0001"
    leak = json.loads(page.with_suffix(".json").read_text())["leak"]
    assert [(row["unit"], len(row["runs"])) for row in leak["rows"]] == [("image", 1), ("person", 1)]
    assert leak["test_people"] in (3, 4)
    text = page.with_suffix(".html").read_text()
    assert "Split by image and split by person" in text
    for row in leak["rows"]:
        assert f"{row['claimed']['f1']:10.4f}".strip() in done.output
        assert f">{row['true']['f1']:.3f}<" in text
        test = pd.read_parquet(next((store.workspace / "runs" / row["runs"][0]).glob("evaluate-*-test.parquet")))
        assert (test["predicted"] == test["target"]).mean() == pytest.approx(row["true"]["accuracy"])
