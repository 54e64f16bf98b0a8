"""A stage: steps run over every image of a manifest.

    step     a function (record, image) → Outcome, with the columns it needs and adds
    stage    one or more steps in one pass over each image; it writes the next version of the manifest

Results are kept under a key made of the image's hash, the columns read, the parameters and the versions of code and
weights. So a killed run resumes, a second run computes nothing, and a label correction recomputes no image. A row that
fails stays a row: ok + fallback + failed + excluded = rows in.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from data_manifests.errors import StageError
from data_manifests.schema import BY_NAME, USABLE, conform
from data_manifests.versions import WORKSPACE_ROOT, Manifest, Store, Version, file_sha256, has_former_ids, sample_id
from pipeline.executor import WorkerDied, map_records, usual_jobs
from pipeline.progress import announce, counted, show_progress
from pipeline.results import open_results
from pipeline.step import (
    SEVERITY,
    Outcome,
    Record,
    Result,
    Step,
    StepFunction,
    Unread,
    failed,
    make_worker,
    result_key,
)

__all__ = ["Outcome", "Record", "StageRun", "Step", "StepFunction", "merge", "run_records", "run_stage"]

_HASHED_AT_ONCE = 4096  # kept results in memory while their pictures are hashed
SERIAL_BELOW = 100  # images: with fewer, starting a worker takes longer than it saves
IDENTITY = ("sample_id", "root", "path", "sha256", "status", "reason", "made_by")


@dataclass(frozen=True)
class StageRun:
    """The result of a stage: the version written, how much was computed and reused, and the reasons given."""

    version: Version
    computed: int
    reused: int
    reasons: Mapping[str, int]

    def lines(self) -> list[str]:
        """Return text for a terminal: the most frequent reasons, then the ledger."""
        ledger = {status: self.version.ledger.get(status, 0) for status in SEVERITY}
        total = " + ".join(f"{status} {count}" for status, count in ledger.items())
        lines = [f"  {count} × {reason}" for reason, count in Counter(self.reasons).most_common(8)]
        done = f"{self.computed} computed, {self.reused} reused"
        return [
            *lines,
            f"{self.version.operation}: {total} = {self.version.rows} rows in; {done}; wrote {self.version.ref}",
        ]


def run_stage(
    name: str,
    steps: Sequence[Step],
    manifest: Manifest,
    store: Store,
    *,
    jobs: int | None = None,
    executor: str = "pool",
) -> StageRun:
    """Run steps over every usable row and write the next version. Raises StageError if all of them failed.

    Failed and excluded rows pass through unchanged; one row in is one row out, in the same order.
    """
    table = manifest.table
    _check_columns(steps, table)
    rows = np.flatnonzero(np.isin(table.column("status").to_numpy(zero_copy_only=False), USABLE))
    columns = dict.fromkeys((*IDENTITY, *(column for step in steps for column in (*step.requires, *step.uses))))
    todo = table.select(list(columns)).take(rows)
    results, reused = run_records(name, steps, todo, store, jobs=jobs, executor=executor)
    if results and all(result["status"] == "failed" for result in results):
        raise StageError(
            f"{name}: all {len(results)} rows of {manifest.version.ref} failed, first with: {results[0]['reason']}. "
            "No version was written."
        )
    version = store.write(
        manifest.version.name,
        merge(table, rows, todo, results, steps),
        name,
        parents=[manifest.version],
        parameters={step.name: {"version": step.version, **step.params} for step in steps},
    )
    reasons = Counter(_kind(result["reason"]) for result in results if result["reason"])
    return StageRun(version, len(results) - reused, reused, reasons)


def run_records(
    name: str,
    steps: Sequence[Step],
    todo: pa.Table,
    store: Store,
    *,
    jobs: int | None = None,
    executor: str = "pool",
    worker_gb: float = 0.0,
) -> tuple[list[Result], int]:
    """Return the results for the rows of `todo` (with the columns of IDENTITY), in order, and how many were reused.

    `jobs` is the number of worker processes; by default one per core, fewer where the memory does not hold workers of
    `worker_gb` each, and none for few images.
    """
    for step in steps:
        if step.check is not None:
            step.check()
    workspace = store.workspace
    lost: dict[int, Result] = {}  # not kept: a retry, more memory or another library version may succeed
    with open_results(workspace / "cache" / "results.sqlite") as cache:
        keys = [result_key(steps, record) for record in _records(todo)]
        known = _intact(cache.find(keys), workspace)
        missing = [position for position, key in enumerate(keys) if key not in known]
        if not missing:
            announce(f"{name}: {counted(len(keys), 'photo')}, all known")
        else:
            worker = partial(make_worker, name, tuple(steps), workspace, store.roots())
            work = zip((keys[p] for p in missing), _records(todo.take(missing)), strict=True)
            if jobs is None and len(missing) < SERIAL_BELOW and executor == "pool":
                executor = "serial"
            usual = min(usual_jobs(worker_gb), 1 + len(missing) // SERIAL_BELOW)
            announce(_start_line(name, len(keys), len(missing), jobs or usual, executor))
            done = map_records(worker, work, jobs=jobs or usual, executor=executor)
            for index, result in show_progress(done, name, len(missing)):
                position = missing[index]
                if isinstance(result, WorkerDied):
                    lost[position] = failed(name, "the worker process died on this picture")
                elif isinstance(result, Unread):
                    lost[position] = failed(name, result.reason)
                else:
                    cache.put(keys[position], result)
        # read after the workers have ended: their models and all results need not fit into memory together
        found = dict(cache.find(keys))
    # a kept result of an equal picture first: a resumed run takes it too
    results = [found[key] if key in found else lost[position] for position, key in enumerate(keys)]
    return results, len(keys) - len(missing)


def _start_line(name: str, total: int, missing: int, jobs: int, executor: str) -> str:
    how = "loading models" if executor == "serial" else f"starting {jobs} worker{'s' * (jobs > 1)}"
    return f"{name}: {counted(total, 'photo')}, {total - missing:,} known, {how}…"


def merge(
    table: pa.Table, rows: np.ndarray, todo: pa.Table, results: Sequence[Result], steps: Sequence[Step]
) -> pa.Table:
    """Return the table with the results merged into its rows."""
    made_by = "; ".join(f"{step.name}:{step.version}" for step in steps)
    updates: dict[str, dict[int, Any]] = {}
    is_former = has_former_ids(table["source_id"])
    for row, record, result in zip(rows.tolist(), _records(todo.select(list(IDENTITY))), results, strict=True):
        for column, value in _updated(record, result, made_by, is_former).items():
            updates.setdefault(column, {})[row] = value
    for column, values in updates.items():
        old = table.column(column).to_pylist() if column in table.column_names else [None] * table.num_rows
        for row, value in values.items():
            old[row] = value
        array = pa.array(old, type=BY_NAME[column].type)
        position = table.column_names.index(column) if column in table.column_names else table.num_columns
        table = (
            table.set_column(position, column, array)
            if position < table.num_columns
            else table.append_column(column, array)
        )
    return conform(table)


def _updated(record: Record, result: Result, made_by: str, is_former: bool) -> Record:
    """Return the new values of one row."""
    status = max(record["status"], result["status"], key=SEVERITY.__getitem__)
    reason = "; ".join(part for part in (record["reason"], result["reason"]) if part) or None
    values = {"status": status, "reason": reason, **result["columns"]}
    if result["status"] == "failed":
        return values
    values["made_by"] = "; ".join(part for part in (record["made_by"], made_by) if part)
    picture = result["picture"]
    if picture:
        values |= {name: picture[name] for name in ("path", "sha256", "width_px", "height_px")}
        values["root"] = WORKSPACE_ROOT
        values["parent_id"] = record["sample_id"]
        name = sample_id(picture["path"], picture["sha256"], record["sample_id"], is_former=is_former)
        values["sample_id"] = name
    return values


def _intact(found: Iterator[tuple[str, Result]], workspace: Path) -> set[str]:
    """Return the keys of kept results whose picture, if they have one, is on disk as it was written."""
    known = set()
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # hashing releases the interpreter's lock
        while part := list(islice(found, _HASHED_AT_ONCE)):
            intact = pool.map(lambda pair: _picture_is_intact(pair[1], workspace), part)
            known |= {key for (key, _), is_intact in zip(part, intact, strict=True) if is_intact}
    return known


def _picture_is_intact(result: Result, workspace: Path) -> bool:
    if not result.keys() >= {"status", "reason", "columns", "picture"}:
        return False
    picture = result["picture"]
    if picture is None:
        return True
    file = workspace / picture["path"]
    try:
        return file.stat().st_size == picture["bytes"] and file_sha256(file) == picture["sha256"]
    except OSError:
        return False


def _records(table: pa.Table) -> Iterator[Record]:
    for batch in table.to_batches(max_chunksize=1024):
        yield from batch.to_pylist()


def _check_columns(steps: Sequence[Step], table: pa.Table) -> None:
    """Raise StageError unless each required column has values or is added by an earlier step of the stage."""
    added: set[str] = set()
    for step in steps:
        for column in step.requires:
            empty = column not in table.column_names or table.column(column).null_count == table.num_rows
            if column not in added and empty and table.num_rows:
                owner = BY_NAME[column].owner
                raise StageError(
                    f"{step.name} needs the column {column!r}, which is empty. Run the stage {owner!r} first."
                )
        added.update(step.adds)


def _kind(reason: str) -> str:
    """Return a reason with N for each number, so that similar ones are counted together."""
    return re.sub(r"\d+(?:[.,]\d+)*", "N", reason) if len(reason) < 200 else reason[:200]
