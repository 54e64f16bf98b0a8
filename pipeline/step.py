"""A step looks at one picture: a function (record, picture) → Outcome, made once per worker.

Several steps may run in one pass over a picture; each sees the columns and the picture that the one before it left.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data_manifests.errors import BackendError, StageError, disk_is_full, must_be_one_of
from pipeline.photos import load_rgb, save_rgb

Record = dict[str, Any]
Result = dict[str, Any]  # what is kept of a record: status, reason, columns, picture; JSON
SEVERITY = {"ok": 0, "fallback": 1, "excluded": 2, "failed": 3}


@dataclass(frozen=True)
class Outcome:
    """What a step says of one record. `picture` is a new (H, W, 3) uint8 RGB picture if the step makes one."""

    columns: Mapping[str, Any] = field(default_factory=dict)
    picture: np.ndarray | None = None
    status: str = "ok"
    reason: str = ""


StepFunction = Callable[[Record, np.ndarray], Outcome]


@dataclass(frozen=True)
class Step:
    """One step. `make(**params)` is a module-level function; it runs once per worker and loads models there."""

    name: str
    make: Callable[..., StepFunction]
    version: str  # of the code and the weights; a change makes old results unfindable
    params: Mapping[str, Any] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    adds: tuple[str, ...] = ()
    check: Callable[[], None] | None = None  # raises BackendError before any worker starts


@dataclass(frozen=True)
class Unread:
    """The result of a record whose file could not be read. It is not kept: it is of this file, today, and another with
    the same hash may be there."""

    reason: str


def make_worker(
    stage: str, steps: tuple[Step, ...], workspace: Path, roots: Mapping[str, Path]
) -> Callable[[tuple[str, Record]], Result | Unread]:
    """A function (key, record) → result for one worker process: makes the steps, loads, runs and saves."""
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
        except Exception as error:  # a batch never stops for one picture; the reason goes into the ledger
            if disk_is_full(error):
                raise  # so does this; kept as a failure of the picture it would never be tried again
            return failed(stage, _reason(error))

    return work


def _read(record: Record, roots: Mapping[str, Path]) -> np.ndarray:
    if record["root"] not in roots:
        raise StageError(must_be_one_of("root", roots, record["root"]))
    return load_rgb(roots[record["root"]] / record["path"], record["sha256"])


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
    """The result of a record that came to nothing."""
    return {"status": "failed", "reason": f"{stage}: {reason}", "columns": {}, "picture": None}


def _as_json(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays as flat lists of Python numbers, so that a fresh result equals one read back from the cache."""
    plain: dict[str, Any] = {}
    for name, value in columns.items():
        if isinstance(value, np.ndarray):
            value = value.ravel().tolist()
        elif isinstance(value, np.generic):
            value = value.item()
        plain[name] = value
    return plain


def result_key(steps: Sequence[Step], record: Record) -> str:
    """Everything that the result depends on. The path is not part of it: equal pictures are computed once."""
    needs = {column: record[column] for step in steps for column in step.requires}
    parts = [[step.name, step.version, dict(step.params)] for step in steps]
    return hashlib.sha256(json.dumps([record["sha256"], parts, needs], sort_keys=True).encode()).hexdigest()[:40]
