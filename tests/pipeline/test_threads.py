"""One thread in a block, and the caller's threads after it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest
import torch
from threadpoolctl import threadpool_info

from pipeline.executor import map_records
from pipeline.threads import ENVIRONMENT, one_thread

ROOT = Path(__file__).resolve().parents[2]


def counts() -> set[int]:
    """Return the numbers of threads of all loaded libraries."""
    return {torch.get_num_threads(), cv2.getNumThreads(), *(library["num_threads"] for library in threadpool_info())}


def make_count() -> Callable[[int], set[int]]:
    """Return a function that counts the threads at each record."""
    return lambda record: counts()


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Let torch and OpenCV compute on two threads."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(2)
    cv2.setNumThreads(2)
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


def test_all_libraries_have_one_thread_in_the_block_and_their_own_after_it(
    two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    before = {library["filepath"]: library["num_threads"] for library in threadpool_info()}
    with one_thread():
        assert counts() == {1}
        with one_thread():
            assert counts() == {1}
        assert counts() == {1}
        assert {name: os.environ[name] for name in ENVIRONMENT} == ENVIRONMENT
    assert (torch.get_num_threads(), cv2.getNumThreads(), os.environ["OMP_NUM_THREADS"]) == (2, 2, "7")
    assert {library["filepath"]: library["num_threads"] for library in threadpool_info()} == before


def test_an_error_in_the_block_gives_the_threads_back(two_threads: None) -> None:
    with pytest.raises(ValueError, match="no"), one_thread():
        raise ValueError("no")
    assert (torch.get_num_threads(), cv2.getNumThreads()) == (2, 2)


def test_records_of_this_process_are_computed_on_one_thread_and_the_caller_keeps_its_own(two_threads: None) -> None:
    for _, found in map_records(make_count, range(3), jobs=1, executor="serial"):
        assert found == {1}
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (2, 2)  # also between two results


LATE = """
import sys
from pipeline.threads import one_thread
assert not {"torch", "cv2", "numpy"} & set(sys.modules)
with one_thread():
    import cv2, numpy, scipy.linalg, torch
    from threadpoolctl import threadpool_info
    print({torch.get_num_threads(), cv2.getNumThreads(), *(one["num_threads"] for one in threadpool_info())})
print(torch.get_num_threads(), cv2.getNumThreads(), sorted(one["num_threads"] for one in threadpool_info()))
"""
USUAL = """
import cv2, numpy, scipy.linalg, torch
from threadpoolctl import threadpool_info
print(torch.get_num_threads(), cv2.getNumThreads(), sorted(one["num_threads"] for one in threadpool_info()))
"""


@pytest.mark.slow
@pytest.mark.parametrize("wanted", ["", "1", "2"])
def test_libraries_that_are_loaded_in_the_block_have_their_usual_threads_after_it(wanted: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    environment |= {"OMP_NUM_THREADS": wanted} if wanted else {}

    def lines(program: str) -> list[str]:
        command = [sys.executable, "-c", program]
        return subprocess.run(
            command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True
        ).stdout.splitlines()

    inside, after = lines(LATE)
    assert inside == "{1}"
    assert [after] == lines(USUAL)
