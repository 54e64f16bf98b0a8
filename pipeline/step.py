"""A step: a function (record, image) → Outcome, created once per worker.

Several steps may run in one pass over an image; each receives the columns and the image of the one before it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data_manifests.errors import BackendError, StageError, is_disk_full, must_be_one_of
from pipeline.photos import PhotoFile, load_rgb, save_rgb

Record = dict[str, Any]
Result = dict[str, Any]  # the part of an outcome that is kept, as JSON: status, reason, columns, picture
SEVERITY = {"ok": 0, "fallback": 1, "excluded": 2, "failed": 3}


@dataclass(frozen=True)
class Outcome:
    """The result of a step for one record. `picture` is a new (H, W, 3) uint8 RGB image if the step makes one."""

    columns: Mapping[str, Any] = field(default_factory=dict)
    picture: np.ndarray | None = None
    status: str = "ok"
    reason: str = ""


StepFunction = Callable[[Record, np.ndarray], Outcome]


@dataclass(frozen=True)
class Step:
    """A step and what it depends on. `make(**params)` is a module-level function that each worker calls once."""

    name: str
    make: Callable[..., StepFunction]
    version: str  # of the code and the weights; a change invalidates kept results
    params: Mapping[str, Any] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()  # columns read where the manifest has them
    adds: tuple[str, ...] = ()
    check: Callable[[], None] | None = None  # raises BackendError before any worker starts


@dataclass(frozen=True)
class Unread:
    """The result of a record whose file could not be read.

    It is not kept: it belongs to this file at this time, and another file with the same hash may be readable.
    """

    reason: str


def make_worker(
    stage: str, steps: tuple[Step, ...], workspace: Path, roots: Mapping[str, Path]
) -> Callable[[tuple[str, Record]], Result | Unread]:
    """Return a function (key, record) → result for one worker process: it loads the image, runs the steps and saves."""
    functions = [(step.name, step.make(**step.params)) for step in steps]

    def work(item: tuple[str, Record]) -> Result | Unread:
        key, record = item
        try:
            picture = _read(record, roots)
        except Exception as error:
            return Unread(_reason(error))
        try:
            return _run_one(functions, record, picture, workspace, f"images/{stage}/{key[:2]}/{key}.jpg")
        except BackendError:
            raise  # concerns every record
        except Exception as error:  # one image never stops a batch; the reason is recorded in its row
            if is_disk_full(error):
                raise  # concerns every record too; as a kept failure it would never be retried
            return failed(stage, _reason(error))

    return work


def _read(record: Record, roots: Mapping[str, Path]) -> np.ndarray:
    if record["root"] not in roots:
        raise StageError(must_be_one_of("root", roots, record["root"]))
    return load_rgb(PhotoFile(roots[record["root"]], record["path"]), record["sha256"])


def _reason(error: Exception) -> str:
    text = str(error) if isinstance(error, StageError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())


def _run_one(
    functions: Sequence[tuple[str, StepFunction]], record: Record, picture: np.ndarray, workspace: Path, target: str
) -> Result:
    status, changed = "ok", False
    reasons: list[str] = []
    columns: dict[str, Any] = {}
    for name, function in functions:
        outcome = function({**record, **columns}, picture)
        status = max(status, outcome.status, key=SEVERITY.__getitem__)
        columns |= _as_json(outcome.columns)
        if outcome.reason:
            reasons.append(f"{name}: {outcome.reason}")
        if outcome.status == "failed":
            break
        if outcome.picture is not None:
            picture, changed = outcome.picture, True
    keep = changed and status != "failed"
    saved = asdict(save_rgb(picture, workspace, target)) if keep else None
    return {"status": status, "reason": "; ".join(reasons), "columns": columns, "picture": saved}


def failed(stage: str, reason: str) -> Result:
    """Return the result of a record that failed."""
    return {"status": "failed", "reason": f"{stage}: {reason}", "columns": {}, "picture": None}


def _as_json(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return arrays as flat lists of Python numbers, so that a new result equals one read from the cache."""
    plain: dict[str, Any] = {}
    for name, value in columns.items():
        if isinstance(value, np.ndarray):
            value = value.ravel().tolist()
        elif isinstance(value, np.generic):
            value = value.item()
        plain[name] = value
    return plain


def result_key(steps: Sequence[Step], record: Record) -> str:
    """Return a hash of everything that the result depends on; not of the path, so equal images are computed once."""
    needs = {column: record[column] for step in steps for column in step.requires}
    needs |= {column: record[column] for step in steps for column in step.uses if record.get(column) is not None}
    parts = [[step.name, step.version, dict(step.params)] for step in steps]
    return hashlib.sha256(json.dumps([record["sha256"], parts, needs], sort_keys=True).encode()).hexdigest()[:40]
