"""Run folders: serials, what is in them, and when a run is taken again."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pandas as pd
import pytest

from data_manifests.errors import ManifestError, StageError
from data_manifests.versions.store import Store
from pipeline.runs import CONFIG, Run, find_run
from tests.support.train_drawn import tiny_settings, write_people
from train.engine.new_run import ancestors, new_run, same_run
from train.settings import load_train_settings


def _claim(workspace: Path, count: int) -> list[str]:
    store = Store(workspace)
    version = store.version("drawn")
    return [new_run(store, version, tiny_settings()).name for _ in range(count)]


@pytest.mark.slow
def test_runs_that_begin_at_once_never_share_a_serial(store: Store) -> None:
    write_people(store, train=1, val=1)
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        claimed = pool.starmap(_claim, [(store.workspace, 10)] * 3)
    assert sorted(name for names in claimed for name in names) == [f"drawn-{serial:04d}" for serial in range(1, 31)]


def test_a_run_knows_what_it_was_made_from(store: Store) -> None:
    first = write_people(store, train=2, val=1)
    table = store.read("drawn").table
    second = store.write("drawn", table, "split", parents=[first], parameters={"val": 0.2}, seed=4)
    run = new_run(store, second, tiny_settings(seed=7))
    about = run.about()
    assert (about["manifest"], about["content_hash"], about["seed"]) == ("drawn@2", second.content_hash, 7)
    assert [entry["ref"] for entry in about["history"]] == ["drawn@2", "drawn@1"]
    assert about["history"][0]["parameters"] == {"val": 0.2}
    assert "torch" in about["tools"]
    assert load_train_settings(run.path / CONFIG) == tiny_settings(seed=7)


def test_ancestors_follow_every_parent_once(store: Store) -> None:
    write_people(store, train=2, val=1, name="a")
    write_people(store, train=3, val=1, name="b")
    parents = [store.version("a"), store.version("b")]
    merged = store.write("c", store.read("a").table, "merge", parents=parents)
    last = store.write("c", store.read("b").table, "more", parents=[merged, parents[0]])
    assert [version.ref for version in ancestors(store, last)] == ["c@2", "c@1", "a@1", "b@1"]


def test_an_unknown_run_lists_the_known_ones(store: Store) -> None:
    new_run(store, write_people(store, train=1, val=1), tiny_settings())
    assert find_run(store, "drawn-0001").name == find_run(store, str(store.workspace / "runs/drawn-0001")).name
    with pytest.raises(ManifestError, match=r"run 'drawn-9' is not in .*Known: \{drawn-0001\}"):
        find_run(store, "drawn-9")


def test_a_run_that_did_not_finish_has_no_scores(store: Store) -> None:
    run = new_run(store, write_people(store, train=1, val=1), tiny_settings())
    with pytest.raises(StageError, match=r"run 'drawn-0001' has no scores\.json"):
        run.read_json("scores.json")


def test_a_full_disk_leaves_the_older_table(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run(store, write_people(store, train=1, val=1), tiny_settings())
    run.write_table("predictions.parquet", pd.DataFrame({"sample_id": ["a"]}))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("data_manifests.versions.atomic_io.os.replace", full)
    with pytest.raises(StageError, match=r"predictions\.parquet could not be written: No space left.*Free some space"):
        run.write_table("predictions.parquet", pd.DataFrame({"sample_id": ["b"]}))
    assert pd.read_parquet(run.path / "predictions.parquet")["sample_id"].tolist() == ["a"]
    assert not list(run.path.glob(".predictions*"))


def test_a_run_is_taken_again_only_for_the_same_rows_and_settings(store: Store) -> None:
    version = write_people(store, train=1, val=1)
    run = new_run(store, version, tiny_settings())
    assert same_run(store, version, tiny_settings()) == run
    assert same_run(store, version, tiny_settings(seed=1)) is None
    other = write_people(store, train=2, val=1)
    assert same_run(store, other, tiny_settings()) is None
    with Run(run.path).lock:
        assert same_run(store, version, tiny_settings()) is None  # somebody is working on it
    settings = (run.path / "config.yaml").read_bytes()
    run.write("config.yaml", b"optim: {a_setting_of_old: 1}")
    assert same_run(store, version, tiny_settings()) is None  # written by an older version: another run, no error
    run.write("config.yaml", settings)
    assert same_run(store, version, tiny_settings()) == run
    run.update(state="failed")
    assert same_run(store, version, tiny_settings()) is None
