"""One thread for everything whose bytes are kept.

Several threads take sums in another order, and the last digits differ: MTCNN's boxes on one and on two threads differ
on 111 of 140 portraits. Worker processes compute on one thread, so what runs in this process must do the same.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache

import psutil
from threadpoolctl import ThreadpoolController

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
    "OMP_WAIT_POLICY": "passive",
}
"""Variables that libraries read when they are loaded, also by spawned workers."""
Library = tuple[Callable[[int], object], int]  # sets a library's number of threads; the present number


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Limit the numeric libraries of this process to one thread in the block, also those that are loaded in it.

    Afterwards they have the number of threads that they had before or, if they were loaded in the block, their usual
    one. For one Python thread at a time: OpenMP counts per thread.
    """
    before = _libraries()
    try:
        with one_thread_environment():
            limit_threads(before)
            yield
    finally:
        for name, (set_threads, _) in _libraries().items():
            set_threads(before[name][1] if name in before else _usual_threads(name))


@contextlib.contextmanager
def one_thread_environment() -> Iterator[None]:
    """Set ENVIRONMENT in the block, for libraries that are loaded and processes that are started in it."""
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def limit_threads(libraries: dict[str, Library] | None = None) -> None:
    """Limit the given libraries, or all that this process has loaded, to one thread."""
    for set_threads, _ in (libraries if libraries is not None else _libraries()).values():
        set_threads(1)


def _libraries() -> dict[str, Library]:
    """Return the numeric libraries that this process has loaded."""
    found: dict[str, Library] = {}
    for library in _loaded(len(sys.modules)).lib_controllers:  # BLAS and OpenMP
        found[library.filepath] = library.set_num_threads, library.num_threads
    cv2, torch = sys.modules.get("cv2"), sys.modules.get("torch")
    if cv2 is not None and hasattr(cv2, "setNumThreads"):  # False while another thread imports it
        found["cv2"] = cv2.setNumThreads, cv2.getNumThreads()
    if torch is not None and hasattr(torch, "set_num_threads"):  # last: it sets OpenMP and its built-in MKL too
        found["torch"] = torch.set_num_threads, torch.get_num_threads()
    return found


@lru_cache(maxsize=1)
def _loaded(n_modules: int) -> ThreadpoolController:
    """Look for the libraries, which takes 20 ms; again once a module more has been imported."""
    return ThreadpoolController()


def _usual_threads(name: str) -> int:
    """Return the number of threads that a library takes when it is loaded outside `one_thread`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if name == "cv2":
        return cores
    if name == "torch":  # MKL takes one per physical core
        cores = min(cores, psutil.cpu_count(logical=False) or cores)
    with contextlib.suppress(ValueError):
        return max(1, min(cores, int(os.environ.get("OMP_NUM_THREADS", "").split(",")[0])))
    return cores
