"""The runner: resume, ledger, serial = pool, one row in one row out."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from data_manifests.errors import BackendError, ConfigError, StageError
from data_manifests.versions.store import Store
from pipeline.executor import map_records
from pipeline.results import open_results
from pipeline.stage import run_records, run_stage
from pipeline.step import result_key
from tests.conftest import write_photos
from tests.support.stage_steps import BROKEN, INVERT, measure_step

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def photos(store: Store, tmp_path: Path) -> Path:
    write_photos(store, tmp_path / "photos", 12)
    return tmp_path / "photos"


def test_columns_and_pictures_arrive_on_their_rows(store: Store, photos: Path) -> None:
    before = store.read("drawn")
    run = run_stage("look", [measure_step(), INVERT], before, store, executor="serial")
    after = store.read(run.version.ref).table
    for old, new in zip(before.table.to_pylist(), after.to_pylist(), strict=True):
        photo = np.asarray(Image.open(photos / old["path"]))
        made = np.asarray(Image.open(store.file_of(new["root"], new["path"])))
        assert np.abs(made.astype(int) - (255 - photo.astype(int))).mean() < 3
        assert new["detection_score"] == pytest.approx(photo.mean() / 255, abs=1e-6)
        assert (new["parent_id"], new["source_id"]) == (old["sample_id"], old["source_id"])
        assert new["sample_id"] != old["sample_id"]
        assert new["made_by"] == "measure:1; invert:1"
        assert new["faces"] == 1
        assert (new["status"], new["reason"]) == (
            ("fallback", "measure: dark") if new["detection_score"] < 0.3 else ("ok", None)
        )


@pytest.mark.slow
def test_serial_and_pool_give_identical_rows(tmp_path: Path) -> None:
    hashes = []
    for executor in ("serial", "pool"):
        store = Store(tmp_path / executor)
        write_photos(store, tmp_path / "photos", 20)
        steps = [measure_step(), INVERT]
        hashes.append(run_stage("look", steps, store.read("drawn"), store, jobs=2, executor=executor).version)
    assert hashes[0].content_hash == hashes[1].content_hash
    assert hashes[0].ledger == hashes[1].ledger


def test_workers_follow_the_cores_and_a_few_pictures_take_none(
    store: Store, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def watch(*args: object, jobs: int, executor: str) -> Iterator[object]:
        asked.append((jobs, executor))
        return map_records(*args, jobs=1, executor="serial")  # type: ignore[arg-type]

    monkeypatch.setattr("pipeline.stage.map_records", watch)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    todo = store.read("drawn").table
    for number, few in enumerate([100, 5, 1]):
        monkeypatch.setattr("pipeline.stage.SERIAL_BELOW", few)
        run_records("look", [measure_step(pause_s=number * 1e-6)], todo, store)
    assert asked == [(1, "serial"), (3, "pool"), (8, "pool")]


def test_a_file_that_is_gone_takes_the_result_of_its_equal_now_as_after_a_kill(store: Store, photos: Path) -> None:
    table = store.read("drawn").table
    (photos / "p001.png").write_bytes((photos / "p000.png").read_bytes())
    hashes = table.column("sha256").to_pylist()
    hashes[1] = hashes[0]
    table = table.set_column(table.column_names.index("sha256"), "sha256", pa.array(hashes))
    before = store.write("drawn", table, "edit", parents=[store.version("drawn")])
    (photos / "p001.png").unlink()
    there = (photos / "p002.png").rename(photos / "away.png")
    run = run_stage("look", [measure_step(), INVERT], store.read(before.ref), store, executor="serial")
    rows = store.read(run.version.ref).table.to_pylist()
    assert [row["status"] == "failed" for row in rows[:3]] == [False, False, True]
    again = run_stage("look", [measure_step(), INVERT], store.read(before.ref), store, executor="serial")
    assert (again.computed, again.version) == (1, run.version)  # as a resumed run: the equal is known before it starts
    there.rename(photos / "p002.png")
    later = run_stage("look", [measure_step(), INVERT], store.read(before.ref), store, executor="serial")
    assert (later.computed, later.version.ledger.get("failed")) == (1, None)


def test_a_full_disk_stops_the_run_and_is_no_failure_of_a_picture(
    store: Store, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("pipeline.step.save_rgb", no_room)
        with pytest.raises(OSError, match="No space left"):
            run_stage("look", [measure_step(), INVERT], store.read("drawn"), store, executor="serial")
    assert [version.operation for version in store.log("drawn")] == ["ingest"]
    run = run_stage("look", [measure_step(), INVERT], store.read("drawn"), store, executor="serial")
    assert (run.reused, run.version.ledger.get("failed")) == (0, None)


def test_a_second_run_computes_nothing_and_writes_nothing(store: Store, photos: Path) -> None:
    manifest = store.read("drawn")
    first = run_stage("look", [measure_step(), INVERT], manifest, store, executor="serial")
    again = run_stage("look", [measure_step(), INVERT], manifest, store, executor="serial")
    assert (first.computed, again.computed, again.reused) == (12, 0, 12)
    assert again.version == first.version
    assert len(store.log("drawn")) == 2


def test_a_lost_picture_is_made_again_and_only_that(store: Store, photos: Path) -> None:
    manifest = store.read("drawn")
    version = run_stage("look", [measure_step(), INVERT], manifest, store, executor="serial").version
    row = store.read(version.ref).table.to_pylist()[3]
    store.file_of(row["root"], row["path"]).unlink()
    assert run_stage("look", [measure_step(), INVERT], manifest, store, executor="serial").computed == 1
    assert store.file_of(row["root"], row["path"]).is_file()


def test_a_damaged_picture_of_the_same_size_is_made_again_and_only_that(store: Store, photos: Path) -> None:
    manifest = store.read("drawn")
    version = run_stage("look", [measure_step(), INVERT], manifest, store, executor="serial").version
    rows = store.read(version.ref).table.to_pylist()
    file = store.file_of(rows[3]["root"], rows[3]["path"])
    good = file.read_bytes()
    file.write_bytes(good[:-100] + bytes(100))
    again = run_stage("look", [measure_step(), INVERT], manifest, store, executor="serial")
    assert (again.computed, again.reused) == (1, 11)
    assert again.version == version
    assert file.read_bytes() == good


def test_damaged_kept_results_are_one_line(store: Store, photos: Path) -> None:
    manifest = store.read("drawn")
    steps, first = [measure_step(), INVERT], manifest.table.slice(0, 1).to_pylist()[0]
    run_stage("look", steps, manifest, store, executor="serial")
    cache = store.workspace / "cache" / "results.sqlite"
    with open_results(cache) as results:
        key = result_key(steps, first)
        results.put(key, {"status": "ok"})  # such as of another release
    assert run_stage("look", steps, manifest, store, executor="serial").computed == 1
    for part in cache.parent.glob("results.sqlite-*"):
        part.unlink()
    cache.write_bytes(b"no database at all, but long enough to be read as one" * 100)
    with pytest.raises(StageError, match=r"results\.sqlite is damaged: .*rm ") as error:
        run_stage("look", steps, manifest, store, executor="serial")
    assert "\n" not in str(error.value)


def test_new_parameters_are_new_work(store: Store, photos: Path) -> None:
    manifest = store.read("drawn")
    run_stage("look", [measure_step()], manifest, store, executor="serial")
    assert run_stage("look", [measure_step(pause_s=0.001)], manifest, store, executor="serial").computed == 12


def test_a_picture_that_fails_stays_a_row_with_its_reason(store: Store, photos: Path) -> None:
    (photos / "p004.png").write_bytes((photos / "p004.png").read_bytes()[:60])
    (photos / "p005.png").unlink()
    run = run_stage("look", [measure_step(strange="p003.png"), INVERT], store.read("drawn"), store, executor="serial")
    rows = store.read(run.version.ref).table.to_pylist()
    assert sum(run.version.ledger.values()) == len(rows) == 12
    assert run.version.ledger["failed"] == 3
    assert rows[3]["reason"] == "look: a strange picture"
    assert "has changed since it was ingested" in rows[4]["reason"]
    assert "file does not exist" in rows[5]["reason"]
    assert any("pN.png" in line and "file does not exist" in line for line in run.lines()), run.lines()
    assert rows[3]["parent_id"] is None  # it still is the photo that it was
    later = run_stage("invert", [INVERT], store.read(run.version.ref), store, executor="serial")
    assert later.version.ledger["failed"] == 3  # passed through, not tried and not lost
    assert later.computed == 9


def test_when_everything_fails_nothing_is_written(store: Store, photos: Path) -> None:
    for file in photos.iterdir():
        file.unlink()
    with pytest.raises(StageError, match=r"all 12 rows of drawn@1 failed.*No version was written"):
        run_stage("look", [measure_step()], store.read("drawn"), store, executor="serial")
    assert len(store.log("drawn")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_missing_model_stops_the_stage_with_its_own_error(store: Store, photos: Path, jobs: int) -> None:
    with pytest.raises(BackendError, match=r"tiny\.onnx is missing"):
        run_stage("look", [BROKEN], store.read("drawn"), store, jobs=jobs)


@pytest.mark.slow
def test_a_record_that_kills_its_worker_is_the_only_one_lost(store: Store, photos: Path) -> None:
    run = run_stage("look", [measure_step(deadly="p007.png")], store.read("drawn"), store, jobs=2)
    rows = store.read(run.version.ref).table.to_pylist()
    assert [row["path"] for row in rows if row["status"] == "failed"] == ["p007.png"]
    assert rows[7]["reason"] == "look: the worker process died on this picture"


def test_a_missing_column_names_the_stage_that_makes_it(store: Store, photos: Path) -> None:
    with pytest.raises(StageError, match=r"invert needs the column 'detection_score'.*Run the stage 'detect' first"):
        run_stage("look", [INVERT], store.read("drawn"), store)


def test_an_unknown_executor_lists_the_choices(store: Store, photos: Path) -> None:
    with pytest.raises(ConfigError, match=r"executor must be one of \{pool, serial, ray\}. Got 'dask' instead"):
        run_stage("look", [measure_step()], store.read("drawn"), store, executor="dask")


KILLED = """
import sys
from data_manifests.versions import Store
from pipeline.stage import run_stage
from tests.support.stage_steps import INVERT, measure_step
if __name__ == "__main__":
    store = Store(sys.argv[1])
    run_stage("look", [measure_step(log=sys.argv[2], pause_s=0.05), INVERT], store.read("drawn"), store, jobs=2)
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_where_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path / "workspace")
    write_photos(store, tmp_path / "photos", 60)
    (tmp_path / "run.py").write_text(KILLED)
    log = tmp_path / "log"
    command = [sys.executable, str(tmp_path / "run.py"), str(store.workspace), str(log)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for seen in (8, 24):
        run = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
        while run.poll() is None and (not log.exists() or len(log.read_text().split()) < seen):
            time.sleep(0.02)
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        assert len(store.log("drawn")) == 1
    subprocess.run(command, env=environment, check=True, capture_output=True)
    done = log.read_text().split()
    assert set(done) == {f"p{i:03d}.png" for i in range(60)}
    # Two kills lose what was in flight: two workers, three chunks of four each.
    assert len(done) <= 60 + 2 * 24
    assert store.log("drawn")[-1].ledger.get("failed", 0) == 0
    assert sum(store.log("drawn")[-1].ledger.values()) == 60
