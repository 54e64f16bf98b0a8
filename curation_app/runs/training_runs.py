"""Training runs as the desk reads them from WORKSPACE/runs: whatever is there, and what is missing in words.

`train` writes these folders (`train/runs.py` says what lies in one) and may be doing so while we read.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from curation_app.tiles import UNKNOWN, Predictions
from data_manifests.errors import ManifestError
from data_manifests.taxonomy import N_CLASSES
from data_manifests.versions import Store

TASKS = ("class", "mask", "gender", "age")
_PROBABILITIES = [f"p_{class_id:02d}" for class_id in range(N_CLASSES)]
_PREDICTIONS = "predictions.parquet"
_NEEDED = ("sample_id", "split", "target", "predicted", "confidence")
_QUIET_S = 600.0  # an epoch may take minutes; a run from which nothing was heard for longer is not going on


@dataclass(frozen=True)
class Run:
    """One run's folder; `about` is run.json, empty if it cannot be read."""

    path: Path
    about: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def manifest(self) -> str:
        """The version that it was trained on; empty if it does not say."""
        return _text(self.about.get("manifest"))

    @property
    def state(self) -> str:
        """finished, failed, running, interrupted or unreadable."""
        said = _text(self.about.get("state")) or "unreadable"
        if said != "started":
            return said
        latest = max((file.stat().st_mtime for file in self.path.iterdir() if file.is_file()), default=0.0)
        return "running" if time.time() - latest < _QUIET_S else "interrupted"

    @property
    def has_predictions(self) -> bool:
        return (self.path / _PREDICTIONS).is_file()

    def scores(self) -> dict[str, Any]:
        """scores.json. Raises ManifestError if it is not there."""
        return _read_json(self, "scores.json")

    def settings(self) -> dict[str, Any]:
        """config.yaml; empty if it cannot be read."""
        try:
            read = yaml.safe_load((self.path / "config.yaml").read_text("utf8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            return {}
        return read if isinstance(read, dict) else {}

    def history(self) -> dict[str, list[float]]:
        """metrics.csv by column, a number an epoch. Raises ManifestError if there is none yet."""
        try:
            with (self.path / "metrics.csv").open(newline="", encoding="utf8") as file:
                lines = list(csv.DictReader(file))
            columns = {name: [float(line[name]) for line in lines] for name in (lines[0] if lines else {})}
        except (OSError, UnicodeDecodeError, ValueError, TypeError):
            columns = {}
        if not columns.get("epoch"):
            raise ManifestError(f"run {self.name!r} has no metrics.csv yet: it has not ended its first epoch.")
        return columns


def runs_of(store: Store) -> list[Run]:
    """All runs of the workspace, the newest first."""
    folders = [path for path in (store.workspace / "runs").glob("[!.]*") if path.is_dir()]
    runs = [Run(path, _about(path)) for path in folders if (path / "run.json").exists()]
    return sorted(runs, key=lambda run: (_text(run.about.get("created")), run.name), reverse=True)


def recipe_of(settings: Mapping[str, Any]) -> str:
    """What a run's settings come to, in a few words: backbone, losses, sampler, size, epochs."""
    model, data = section(settings, "model"), section(settings, "data")
    loss, optim = section(settings, "loss"), section(settings, "optim")
    size = data.get("size")
    terms = loss.get("terms")
    parts = [
        model.get("embedding") or model.get("backbone"),
        " + ".join(terms) if isinstance(terms, dict) else None,
        f"{data['sampler']} sampler" if data.get("sampler") not in (None, "none", "") else None,
        "×".join(map(str, size)) if isinstance(size, list) else None,
        f"{optim['epochs']} epochs" if optim.get("epochs") else None,
    ]
    return ", ".join(str(part).replace("_", " ") for part in parts if part)


@dataclass(frozen=True)
class Mistake:
    """A validation row of which the network was sure, and the label says otherwise. Classes are 0 to 17."""

    sample_id: str
    target: int
    predicted: int
    confidence: float
    truth: float  # probability of the labelled class


def worst_mistakes(run: Run, limit: int) -> list[Mistake]:
    """The surest first, by the probability of the predicted class over that of the labelled one.

    Raises ManifestError if there are no predictions.
    """
    table = _predictions(run, [*_NEEDED, *_PROBABILITIES])
    table = table.filter(pc.equal(table["split"], "val"))
    table = table.filter(pc.not_equal(table["target"], table["predicted"]))
    if not table.num_rows:
        return []
    target = table["target"].to_numpy()
    probability = np.stack([table[name].to_numpy() for name in _PROBABILITIES], 1)
    truth = probability[np.arange(len(target)), target]
    margin = table["confidence"].to_numpy() - truth
    order = np.lexsort((table["sample_id"].to_numpy(zero_copy_only=False).astype(str), -margin))[:limit]
    rows = table.take(pa.array(order)).to_pylist()
    return [
        Mistake(row["sample_id"], row["target"], row["predicted"], row["confidence"], float(part))
        for row, part in zip(rows, truth[order], strict=True)
    ]


def predictions_for(run: Run, sample_ids: pa.ChunkedArray) -> Predictions:
    """What a run says of the rows (N,) of a version. Raises ManifestError if it says nothing of any."""
    table = _predictions(run, list(_NEEDED))
    at = pc.index_in(sample_ids.cast(pa.string()), table["sample_id"].cast(pa.string()).combine_chunks())
    place = pc.fill_null(at, UNKNOWN).to_numpy()
    if not (place >= 0).any():
        raise ManifestError(
            f"run {run.name!r} has predicted the photos of {run.manifest or 'another version'}, and none of this one. "
            "Choose that version in the side bar."
        )
    classes = np.append(table["predicted"].to_numpy().astype(np.int8), np.int8(UNKNOWN))[place]
    confidence = np.append(table["confidence"].to_numpy().astype(np.float32), np.float32("nan"))[place]
    return Predictions(classes, confidence)


def _predictions(run: Run, columns: list[str]) -> pa.Table:
    try:
        return pq.read_table(run.path / _PREDICTIONS, columns=columns).select(columns)
    except FileNotFoundError:
        raise ManifestError(f"run {run.name!r} has no predictions yet: it writes them when it has finished.") from None
    except (pa.ArrowInvalid, KeyError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ManifestError(f"the predictions of run {run.name!r} cannot be read: {reason}") from None


def _about(path: Path) -> dict[str, Any]:
    try:
        read = json.loads((path / "run.json").read_text("utf8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def _read_json(run: Run, name: str) -> dict[str, Any]:
    try:
        read = json.loads((run.path / name).read_text("utf8"))
    except FileNotFoundError:
        raise ManifestError(f"run {run.name!r} has no {name} yet: it is written when the run has finished.") from None
    except (OSError, ValueError):
        read = None
    if not isinstance(read, dict):
        raise ManifestError(f"{name} of run {run.name!r} cannot be read; train it again: python -m train fit REF")
    return read


def section(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of settings or scores; empty if there is none."""
    found = settings.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
