"""The folder of a training run, `WORKSPACE/runs/<manifest>-<serial>`: its files, its state, and the list of all runs.

config.yaml           every setting, including those left at their default
run.json              manifest (ref, hash, lineage), command, tool versions, image preparation, state
metrics.csv           one row per epoch; tensorboard/ holds the same values for TensorBoard
best.pt  last.pt      the network of the best epoch; the last epoch with everything needed to resume
predictions.parquet   every row used, with the probabilities of the 18 classes
scores.json           the figures of the report
confusion.png  report.html
"""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from filelock import FileLock, Timeout

from data_manifests.errors import ConfigError, ManifestError, StageError
from data_manifests.files import read_json, read_parquet, read_yaml
from data_manifests.labels import TASKS
from data_manifests.taxonomy import N_CLASSES
from data_manifests.versions import Store, write_atomic

if TYPE_CHECKING:
    import pandas as pd

CONFIG, ABOUT, METRICS = "config.yaml", "run.json", "metrics.csv"
PREDICTIONS, SCORES, REPORT = "predictions.parquet", "scores.json", "report.html"
# columns of predictions.parquet
PROBABILITIES = [f"p_{class_id:02d}" for class_id in range(N_CLASSES)]
TARGETS = {task: f"{task}_target" for task in TASKS}  # codes of the labels; older runs have only `target`, the class
_SERIAL = re.compile(r"(.+)-(\d{4,})")
_MAX_QUIET_S = 600.0  # an epoch may take minutes; a run that wrote nothing for longer counts as interrupted


@dataclass(frozen=True)
class Run:
    """One run's folder. It may be written by another process while it is read."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def manifest(self) -> str:
        """The version trained on, such as faces@3; empty if run.json does not name one."""
        return _text(self.about_or_empty().get("manifest"))

    @property
    def state(self) -> str:
        """finished, failed, running, interrupted, or unreadable if run.json is."""
        written = _text(self.about_or_empty().get("state")) or "unreadable"
        if written != "started":
            return written
        return "running" if time.time() - self._last_write() < _MAX_QUIET_S else "interrupted"

    @property
    def is_finished(self) -> bool:
        return self.state == "finished"

    def _last_write(self) -> float:
        times = [0.0]
        for file in self.path.iterdir():
            with suppress(FileNotFoundError):  # a temporary file that was renamed meanwhile
                times.append(file.stat().st_mtime if file.is_file() else 0.0)
        return max(times)

    @cached_property
    def lock(self) -> FileLock:
        """The lock that a process holds while it trains the run."""
        return FileLock(self.path / ".lock")

    def is_free(self) -> bool:
        """Return True if no process is training the run."""
        try:
            with self.lock.acquire(timeout=0):
                return True
        except Timeout:
            return False

    def has(self, name: str) -> bool:
        """Return True if the folder holds a file of this name."""
        return (self.path / name).is_file()

    # -- read ---------------------------------------------------------------------------------------------------------
    def about(self) -> dict[str, Any]:
        """Return run.json. Raises StageError if it is missing or broken."""
        return self.read_json(ABOUT)

    def about_or_empty(self) -> dict[str, Any]:
        """Return run.json; an empty dict if it is missing or broken."""
        try:
            return self.about()
        except StageError:
            return {}

    def scores(self) -> dict[str, Any]:
        """Return scores.json. Raises StageError if it is missing or broken."""
        return self.read_json(SCORES)

    def settings(self) -> dict[str, Any]:
        """Return config.yaml as written, possibly by an older version of the toolkit; an empty dict if it is broken."""
        try:
            read = read_yaml(self.path / CONFIG)
        except ConfigError:
            return {}
        return read if isinstance(read, dict) else {}

    def history(self) -> dict[str, list[float]]:
        """Return metrics.csv by column, one number per epoch, without the columns of scores that cannot be measured.

        Raises StageError before the end of the first epoch.
        """
        try:
            with (self.path / METRICS).open(newline="", encoding="utf8") as file:
                rows = list(csv.DictReader(file))
            names = [name for name in (rows[0] if rows else {}) if any(row[name] for row in rows)]
            columns = {name: [float(row[name] or "nan") for row in rows] for name in names}
        except (OSError, csv.Error, ValueError, TypeError):
            columns = {}
        if not columns.get("epoch"):
            raise StageError(f"run {self.name!r} has no {METRICS} yet: it is written after the first epoch.")
        return columns

    def predictions(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return predictions.parquet, or these columns of it. Raises StageError if it is missing or broken."""
        if not (self.path / PREDICTIONS).exists():
            raise StageError(f"run {self.name!r} has no predictions yet: they are written when the run finishes.")
        try:
            return read_parquet(self.path / PREDICTIONS, columns, error=StageError)
        except StageError as error:
            raise StageError(f"the predictions of run {self.name!r} cannot be read: {error}") from None

    def read_json(self, name: str) -> dict[str, Any]:
        """Return a JSON object of the folder. Raises StageError if it is missing or broken."""
        if not (self.path / name).exists():
            raise StageError(
                f"run {self.name!r} has no {name} yet: it is written when the run finishes. "
                f"Finish it: facecurate train resume {self.name}"
            )
        try:
            read: dict[str, Any] = read_json(self.path / name, error=StageError, kind=dict)
        except StageError as error:
            reason = f"{name} of run {self.name!r} cannot be read: {error}"
            raise StageError(f"{reason} Train again: facecurate train fit REF") from None
        return read

    # -- write --------------------------------------------------------------------------------------------------------
    def update(self, **values: Any) -> None:
        """Change entries of run.json."""
        self.write_json(ABOUT, self.about() | values)

    def write_json(self, name: str, values: Mapping[str, Any]) -> None:
        """Write a JSON file of the folder, as `write`."""
        self.write(name, json.dumps(values, indent=2, ensure_ascii=False).encode())

    def write(self, name: str, data: bytes) -> None:
        """Write a file atomically. Raises StageError when the disk is full; an older file of that name then stays."""
        try:
            write_atomic(self.path / name, data)
        except OSError as error:
            raise StageError(f"{self.path / name} could not be written: {error.strerror}. Free some space.") from None

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Write a Parquet file of the folder, as `write`."""
        data = io.BytesIO()
        table.to_parquet(data, index=False)
        self.write(name, data.getvalue())


def runs_folder(store: Store) -> Path:
    """Return the folder that holds the runs of a workspace."""
    return store.workspace / "runs"


def list_runs(store: Store) -> list[Run]:
    """Return all runs of a workspace, the newest first."""
    folders = [path for path in runs_folder(store).glob("[!.]*") if path.is_dir() and (path / ABOUT).exists()]
    created = {path: _text(Run(path).about_or_empty().get("created")) for path in folders}
    return [Run(path) for path in sorted(folders, key=lambda path: (created[path], path.name), reverse=True)]


def find_run(store: Store, name: str) -> Run:
    """Return a run by its name or its folder. Raises ManifestError that lists the known runs."""
    for path in (runs_folder(store) / name, Path(name)):
        if (path / ABOUT).is_file():
            return Run(path)
    known = [f"{manifest}-{serial:04d}" for manifest, serial in sorted(serials(store))]
    raise ManifestError(
        f"run {name!r} is not in {runs_folder(store)}. Known: {{{', '.join(known)}}}. "
        "Make one with: facecurate train fit REF"
    )


def serials(store: Store) -> list[tuple[str, int]]:
    """Return the manifest name and the serial number of every run, in no order."""
    matches = (_SERIAL.fullmatch(entry.name) for entry in runs_folder(store).glob("*-*"))
    return [(match[1], int(match[2])) for match in matches if match]


def section(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a nested mapping of settings or scores; an empty one if it is missing or of another type."""
    found = values.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
