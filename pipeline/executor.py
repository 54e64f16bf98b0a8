"""Execution of one function over many records: in this process, in a pool of processes, or on a Ray cluster.

All three return the same results, to the last bit, because each computes on one thread (`pipeline.threads`). `make()`
creates the function once per worker and loads models there; a record that kills its worker is reported, and the others
continue.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import Any

import psutil

from data_manifests.errors import ConfigError, must_be_one_of
from pipeline.threads import ENVIRONMENT, limit_threads, one_thread, one_thread_environment

EXECUTORS = ("pool", "serial", "ray")
CHUNK = 4  # records per task at most: few, because a killed run loses the tasks in progress
TASK_S = 0.1  # of work in a task, so that slow records are reported one by one
CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # cgroups 2 and 1
Item = tuple[int, Any]
Done = tuple[list[Item], float]  # results of a chunk, and the seconds that they took
Make = Callable[[], Callable[[Any], Any]]

_function: Callable[[Any], Any] | None = None
_start_error: Exception | None = None


class WorkerDied:
    """The result of a record whose worker process was killed twice (out of memory, a crash in a library)."""


def usual_jobs(worker_gb: float) -> int:
    """Return the usual number of worker processes that hold `worker_gb` each: one per core.

    Where the memory does not hold twice as much, it is one per two cores or, if more, those that it holds.
    """
    cores = os.cpu_count() or 1
    fitting = int(_available_gb() / (2 * worker_gb)) if worker_gb else cores
    return max(1, min(cores, max(cores // 2, fitting)))


def _available_gb() -> float:
    """Return the memory that can be used without swapping, within the limit of a container (cgroup)."""
    available = psutil.virtual_memory().available
    for limit in CONTAINER_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # another version of cgroups, or "max"
            available = min(available, int(Path(limit).read_text()))
    return available / 2**30


def map_records(make: Make, records: Iterable[Any], *, jobs: int, executor: str = "pool") -> Iterator[tuple[int, Any]]:
    """Yield (position, result) for every record, in order of completion.

    `make` must be picklable: a module-level function or a `functools.partial` of one. An error raised by the function
    ends the run; the death of a worker does not. Raises ConfigError for an unknown executor.
    """
    if executor not in EXECUTORS:
        raise ConfigError(must_be_one_of("executor", EXECUTORS, executor))
    items = iter(enumerate(records))
    if executor == "ray":
        return _map_ray(make, items, jobs)
    if executor == "serial":
        return _map_serial(make, items)
    return _map_pool(make, items, jobs)


def _map_serial(make: Make, items: Iterator[Item]) -> Iterator[tuple[int, Any]]:
    with one_thread():
        function = make()
    for position, record in items:
        with one_thread():  # not around the loop: between two results, the caller has its own threads
            result = function(record)
        yield position, result


def _map_pool(make: Make, items: Iterator[Item], jobs: int) -> Iterator[tuple[int, Any]]:
    while True:
        running: dict[Future[Done], list[Item]] = {}
        with _pool(make, jobs) as pool:
            try:
                yield from _feed(pool, items, running, jobs)
                return
            except BrokenProcessPool:
                suspects = [item for chunk in running.values() for item in chunk]
        yield from _map_suspects(make, sorted(suspects, key=lambda item: item[0]))


def _feed(
    pool: ProcessPoolExecutor, items: Iterator[Item], running: dict[Future[Done], list[Item]], jobs: int
) -> Iterator[Item]:
    """Keep a few chunks per worker in progress; `running` still holds them when a worker dies."""
    size = 1  # until the first result shows how long a record takes
    while True:
        while len(running) < jobs * 3 and (chunk := list(islice(items, size))):
            try:
                running[pool.submit(_work, chunk)] = chunk
            except BrokenProcessPool:
                running[Future()] = chunk  # taken from the iterator, not yet submitted
                raise
        if not running:
            return
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            results, seconds = future.result()
            size = max(1, min(CHUNK, int(TASK_S * len(results) / max(seconds, 1e-6))))
            del running[future]
            yield from results


def _map_suspects(make: Make, suspects: list[Item]) -> Iterator[Item]:
    """Run each suspect record alone in a worker, to identify the one that kills it."""
    while suspects:
        with _pool(make, 1) as pool:
            while suspects:
                try:
                    results, _ = pool.submit(_work, suspects[:1]).result()
                except BrokenProcessPool:
                    yield suspects.pop(0)[0], WorkerDied()
                    break
                yield from results
                suspects.pop(0)


@contextlib.contextmanager
def _pool(make: Make, jobs: int) -> Iterator[ProcessPoolExecutor]:
    # spawn, not fork: a forked child would inherit the locks of torch's and OpenCV's threads
    context = multiprocessing.get_context("spawn")
    with one_thread_environment():
        pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start, initargs=(make,))
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _start(make: Make) -> None:
    """Initialise a worker. An error is kept and raised for the first record, so that its type reaches the parent."""
    global _function, _start_error
    threading.Thread(target=_die_with_parent, daemon=True).start()
    atexit.register(os._exit, 0)  # nothing is left to clean up, and the shutdown of torch touches 100 MB more
    try:
        _function = make()
        limit_threads()
    except Exception as error:
        _start_error = error


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(chunk: list[Item]) -> Done:
    if _start_error is not None:
        raise _start_error
    assert _function is not None
    start = time.perf_counter()
    return [(position, _function(record)) for position, record in chunk], time.perf_counter() - start


def _map_ray(make: Make, items: Iterator[Item], jobs: int) -> Iterator[tuple[int, Any]]:
    try:
        import ray
    except ImportError:
        raise ConfigError("executor 'ray' needs Ray, which is not installed. Run: make setup EXTRAS=ray") from None
    started = not ray.is_initialized()
    if started:
        ray.init(
            num_cpus=jobs if "RAY_ADDRESS" not in os.environ else None, include_dashboard=False, log_to_driver=False
        )
    try:
        actor = ray.remote(num_cpus=1)(_RayWorker)
        pool = ray.util.ActorPool([actor.remote(make) for _ in range(jobs)])
        chunks: Any = iter(lambda: list(islice(items, CHUNK)), [])  # lazy; Ray's annotation asks for a list
        for results in pool.map_unordered(lambda worker, chunk: worker.work.remote(chunk), chunks):
            yield from results
    finally:
        if started:
            ray.shutdown()


class _RayWorker:
    def __init__(self, make: Make) -> None:
        os.environ.update(ENVIRONMENT)  # Ray leaves a number that the user has set
        self.function = make()
        limit_threads()

    def work(self, chunk: list[Item]) -> list[Item]:
        return [(position, self.function(record)) for position, record in chunk]
