"""Concurrent and killed writers: no version is overwritten or left incomplete."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import data_manifests.versions.parquet_file as parquet_file
from data_manifests.versions.content_hash import table_sha256
from data_manifests.versions.store import Store
from tests.data_manifests.test_store import small

SPAWN = multiprocessing.get_context("spawn")


def _write_some(workspace: Path, writer: int) -> list[int]:
    store = Store(workspace)
    return [store.write("faces", small(1 + (writer * 4 + i)), f"writer{writer}").number for i in range(4)]


@pytest.mark.slow
def test_concurrent_writers_overwrite_nothing_and_skip_no_number(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3, SPAWN) as pool:
        results = [pool.submit(_write_some, tmp_path, writer) for writer in range(4)]
        numbers = [number for result in results for number in result.result()]
    assert sorted(numbers) == list(range(1, 17))
    store = Store(tmp_path)
    assert sorted(version.rows for version in store.log("faces")) == list(range(1, 17))
    for version in store.log("faces"):
        assert table_sha256(store.read(version.ref).table) == version.content_hash


def _write_same(workspace: Path) -> int:
    return Store(workspace).write("faces", small(50), "ingest").number


@pytest.mark.slow
def test_concurrent_writers_of_equal_rows_write_one_version(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3, SPAWN) as pool:
        assert {pool.submit(_write_same, tmp_path).result() for _ in range(4)} == {1}
    assert len(Store(tmp_path).log("faces")) == 1


def _die_while_writing(workspace: Path) -> None:
    """Write a version in a process that is killed when the Parquet file is half written."""
    write = pq.write_table

    def half(table: pa.Table, where: Path, **options: object) -> None:
        write(table, where, **options)
        os.truncate(where, os.path.getsize(where) // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    parquet_file.pq.write_table = half  # type: ignore[assignment]
    Store(workspace).write("faces", small(9), "ingest")


@pytest.mark.slow
def test_a_killed_writer_leaves_no_incomplete_version(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = store.write("faces", small(1), "ingest")
    process = SPAWN.Process(target=_die_while_writing, args=(tmp_path,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    folder = tmp_path / "manifests" / "faces"
    assert [path for path in folder.iterdir() if path.name.startswith(".v")], "the test did not reach the write"
    assert store.log("faces") == [first]
    started = time.monotonic()
    assert store.write("faces", small(2), "ingest").number == 2
    assert time.monotonic() - started < 30, "the lock of the killed writer must not block"
    assert not [path for path in folder.iterdir() if path.name.startswith(".v")]


def test_a_write_that_fails_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(parquet_file.pq, "write_table", full)
    with pytest.raises(OSError, match="no space left"):
        store.write("faces", small(), "ingest")
    assert store.names() == []
    assert not list((store.workspace / "manifests" / "faces").glob("*.parquet*"))
