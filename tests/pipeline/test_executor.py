"""Three ways to run one function: the same results, and nothing left behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.executor import WorkerDied, map_records, usual_jobs

pytestmark = pytest.mark.workers


def make_square(offset: int = 0) -> Callable[[int], tuple[int, int]]:
    def square(number: int) -> tuple[int, int]:
        return number * number + offset, int(os.environ.get("OMP_NUM_THREADS", "0"))

    return square


def make_fragile() -> Callable[[int], int]:
    def fragile(number: int) -> int:
        if number % 10 == 3:
            time.sleep(0.05)  # lets the neighbours of the same moment be in flight
            os._exit(1)
        return number

    return fragile


def make_refusing() -> Callable[[int], int]:
    def refuse(number: int) -> int:
        raise ValueError(f"no {number}")

    return refuse


@pytest.mark.parametrize(
    ("cores", "free_gb", "limit_gb", "jobs"),
    [
        (2, 20, None, 2),
        (2, 2, None, 1),
        (1, 20, None, 1),
        (8, 100, None, 8),
        (8, 9.7, None, 6),
        (8, 1, None, 4),
        (8, 100, 9.7, 6),
    ],
)
def test_workers_follow_cores_and_memory(
    cores: int, free_gb: float, limit_gb: float | None, jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "limit").write_text("max" if limit_gb is None else str(int(limit_gb * 2**30)))
    monkeypatch.setattr("pipeline.executor.CONTAINER_LIMITS", (str(tmp_path / "absent"), str(tmp_path / "limit")))
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=free_gb * 2**30))
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert usual_jobs(0.8) == jobs
    assert usual_jobs(0.0) == cores


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["serial", "pool"])
def test_every_record_is_done_once(executor: str) -> None:
    done = dict(map_records(partial(make_square, 5), range(30), jobs=2, executor=executor))
    assert {position: value for position, (value, _) in done.items()} == {i: i * i + 5 for i in range(30)}


@pytest.mark.slow
def test_workers_compute_on_one_thread_and_the_parent_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    done = dict(map_records(make_square, range(8), jobs=2))
    assert {threads for _, threads in done.values()} == {1}
    assert os.environ["OMP_NUM_THREADS"] == "7"


@pytest.mark.slow
def test_records_that_kill_are_found_and_all_others_are_done() -> None:
    done = dict(map_records(make_fragile, range(25), jobs=2))
    assert sorted(done) == list(range(25))
    assert {position for position, result in done.items() if isinstance(result, WorkerDied)} == {3, 13, 23}
    assert all(done[i] == i for i in range(25) if i % 10 != 3)


@pytest.mark.slow
def test_one_job_is_a_process_of_its_own() -> None:
    assert next(result for _, result in map_records(make_fragile, range(2, 4), jobs=1)) == 2
    assert isinstance(dict(map_records(make_fragile, range(2, 4), jobs=1))[1], WorkerDied)  # and this process lives


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_the_function_keeps_its_type(jobs: int) -> None:
    with pytest.raises(ValueError, match=r"no [0-2]"):
        list(map_records(make_refusing, range(3), jobs=jobs))


def test_no_records_start_no_worker() -> None:
    assert list(map_records(make_square, [], jobs=2)) == []


@pytest.mark.slow
def test_ray_gives_the_same() -> None:
    pytest.importorskip("ray", reason="an optional part: make setup EXTRAS=ray")
    done = dict(map_records(partial(make_square, 1), range(10), jobs=2, executor="ray"))
    assert {position: value for position, (value, _) in done.items()} == {i: i * i + 1 for i in range(10)}
