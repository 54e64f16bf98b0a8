"""The folder of a run: `workspace/runs/<manifest>-<serial>`. It holds everything needed to repeat and to judge it.

config.yaml           every setting, also those left at their default
run.json              manifest (ref, hash, lineage), command, tool versions, what is done to pictures, state
metrics.csv           one line an epoch; tensorboard/ the same to be watched
best.pt  last.pt      the best epoch's network; the last epoch with all that is needed to go on
predictions.parquet   every row used, with the probabilities of the 18 classes
scores.json           the figures of the report
confusion.png  report.html
"""

from __future__ import annotations

import io
import json
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from filelock import FileLock, Timeout

from data_manifests.errors import ManifestError, StageError
from data_manifests.versions import Store, Version, tool_versions, write_atomic
from train.settings import TrainSettings, load_train_settings

_SERIAL = re.compile(r"(.+)-(\d{4,})")


@dataclass(frozen=True)
class Run:
    """One run's folder."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def lock(self) -> FileLock:
        """Held while the run trains, so that nobody resumes it meanwhile."""
        return FileLock(self.path / ".lock")

    def settings(self) -> TrainSettings:
        return load_train_settings(self.path / "config.yaml")

    def raw_settings(self) -> dict[str, Any]:
        """config.yaml as it stands, which an older version of the toolkit may have written."""
        return yaml.safe_load((self.path / "config.yaml").read_text("utf8"))

    def about(self) -> dict[str, Any]:
        """run.json. Raises ManifestError if it is not there."""
        return self.read_json("run.json")

    def update(self, **values: Any) -> None:
        """Change entries of run.json."""
        self.write_json("run.json", self.about() | values)

    def read_json(self, name: str) -> dict[str, Any]:
        try:
            return json.loads((self.path / name).read_text("utf8"))
        except (OSError, json.JSONDecodeError):
            raise StageError(
                f"run {self.name!r} has no {name} that can be read; it did not get that far. Run it again."
            ) from None

    def write_json(self, name: str, values: Mapping[str, Any]) -> None:
        self.write(name, json.dumps(values, indent=2, ensure_ascii=False).encode())

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole. Raises StageError when the disk is full; an older file of that name then stays."""
        try:
            write_atomic(self.path / name, data)
        except OSError as error:
            raise StageError(f"{self.path / name} could not be written: {error.strerror}. Free some space.") from None

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Write a Parquet file whole. Raises StageError when the disk is full."""
        data = io.BytesIO()
        table.to_parquet(data, index=False)
        self.write(name, data.getvalue())


def new_run(store: Store, version: Version, settings: TrainSettings) -> Run:
    """Claim the next serial. Making the folder is the claim, so two runs at once never share one."""
    runs = store.workspace / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    while True:
        serial = max((number for name, number in _serials(runs) if name == version.name), default=0) + 1
        run = Run(runs / f"{version.name}-{serial:04d}")
        try:
            run.path.mkdir()
        except FileExistsError:
            continue
        run.write("config.yaml", yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False).encode())
        about = {
            "run": run.name,
            "state": "started",
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "manifest": version.ref,
            "content_hash": version.content_hash,
            "age_cuts": list(version.age_cuts),
            "seed": settings.seed,
            "command": command_line(),
            "tools": tool_versions(),
            "history": [_as_dict(entry) for entry in ancestors(store, version)],
        }
        run.write_json("run.json", about)
        return run


def command_line() -> str:
    """How this process was called, without the path of the toolkit."""
    program, *words = sys.argv
    module = Path(program).parent.name if Path(program).name == "__main__.py" else ""
    return shlex.join(["python", "-m", module, *words] if module else [Path(program).name, *words])


def find_run(store: Store, name: str) -> Run:
    """A run by its name or its folder. Raises ManifestError with the choices."""
    path = store.workspace / "runs" / name
    if not (path / "run.json").is_file():
        path = Path(name)
    if not (path / "run.json").is_file():
        known = [f"{entry[0]}-{entry[1]:04d}" for entry in sorted(_serials(store.workspace / "runs"))]
        raise ManifestError(
            f"run {name!r} is not in {store.workspace / 'runs'}. Known: {{{', '.join(known)}}}. "
            "Make one with: python -m train fit REF"
        )
    return Run(path)


def same_run(store: Store, version: Version, settings: TrainSettings) -> Run | None:
    """The newest run of these rows with these settings and tools that nobody is working on, finished or not."""
    wanted = settings.model_dump(mode="json")
    serials = sorted(serial for name, serial in _serials(store.workspace / "runs") if name == version.name)
    for serial in reversed(serials):
        run = Run(store.workspace / "runs" / f"{version.name}-{serial:04d}")
        if not (run.path / "run.json").is_file():
            continue
        about = run.about()
        alike = (about["content_hash"], about["tools"]) == (version.content_hash, tool_versions())
        if alike and about["state"] != "failed" and run.raw_settings() == wanted and _is_free(run):
            return run
    return None


def ancestors(store: Store, version: Version) -> list[Version]:
    """A version and all that it came from, newest first. A parent that is gone from the store is left out."""
    found: dict[str, Version] = {}
    todo = [version]
    while todo:
        entry = todo.pop(0)
        if entry.ref in found:
            continue
        found[entry.ref] = entry
        for parent in entry.parents:
            try:
                todo.append(store.version(parent.split("#")[0]))
            except ManifestError:
                continue
    return list(found.values())


def _serials(runs: Path) -> list[tuple[str, int]]:
    matches = (_SERIAL.fullmatch(entry.name) for entry in runs.glob("*-*"))
    return [(match[1], int(match[2])) for match in matches if match]


def _is_free(run: Run) -> bool:
    try:
        with run.lock.acquire(timeout=0):
            return True
    except Timeout:
        return False


def _as_dict(version: Version) -> dict[str, Any]:
    return {
        "ref": version.ref,
        "operation": version.operation,
        "parents": list(version.parents),
        "parameters": dict(version.parameters),
        "seed": version.seed,
        "rows": version.rows,
        "ledger": dict(version.ledger),
        "content_hash": version.content_hash,
        "created": version.created,
    }
