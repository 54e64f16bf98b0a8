"""K folds by person: every labelled photo is judged by a network that has not seen the person.

    workspace/folds/<run of the first fold>/out_of_fold.parquet    one row a photo, in order of sample_id
                                           /folds.json             manifest, runs, scores with intervals over people

`out_of_fold.parquet` joins a manifest by `sample_id`: `mask_score`, `gender_score`, `age_score` are the probabilities
of the labels as filed (low: suspect), which is what an audit asks for; p_00 … p_17 those of all classes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_manifests.errors import ManifestError, StageError
from data_manifests.taxonomy import N_CLASSES, split_class_id
from data_manifests.versions import Store
from train.data import folds_of
from train.evaluation.metrics import TASKS, bootstrap_intervals, confusion_of, scores_of
from train.evaluation.predict import PROBABILITIES
from train.runs import Run
from train.settings import TrainSettings

COLUMNS = ["sample_id", "person_id", "is_synthetic", "fold", "run", "target", "predicted", "confidence"]


def train_folds(store: Store, ref: str, settings: TrainSettings, train: Callable[[TrainSettings], Run]) -> Path:
    """Train once for each fold (`train` may take known runs) and write what they say of the people they have not seen.

    Returns the folder. Raises ManifestError for a manifest without folds.
    """
    manifest = store.read(ref)
    folds = folds_of(manifest)
    if len(folds) < 2:
        ref = manifest.version.ref
        raise ManifestError(f"{ref} has no folds. Run: python -m data_manifests split {ref} --folds 5")
    runs = [train(_of_fold(settings, fold)) for fold in folds]
    table = out_of_fold(runs)
    target, predicted = table["target"].to_numpy(np.int64), table["predicted"].to_numpy(np.int64)
    people = table["person_id"].tolist()
    intervals = bootstrap_intervals(target, predicted, people, np.random.default_rng(settings.seed))
    result = {
        "manifest": manifest.version.ref,
        "runs": [run.name for run in runs],
        "rows": len(table),
        "people": int(table["person_id"].nunique()),
        "scores": scores_of(confusion_of(target, predicted)),
        "intervals": intervals,
        "by_fold": [_scores(table[table["run"] == run.name]) for run in runs],
    }
    folder = store.workspace / "folds" / runs[0].name
    written = Run(folder)  # a folder of results is written as that of a run is
    written.write_table("out_of_fold.parquet", table)
    written.write_json("folds.json", result)
    return folder


def out_of_fold(runs: Sequence[Run]) -> pd.DataFrame:
    """One row for each photo that one of the runs was judged by, which no other was."""
    parts = []
    for run in runs:
        part = pd.read_parquet(run.path / "predictions.parquet")
        parts.append(part[part["split"] == "val"].assign(run=run.name))
    table = pd.concat(parts).sort_values("sample_id", ignore_index=True)
    if table["sample_id"].duplicated().any():
        raise StageError(f"a photo is judged by two of the runs {', '.join(run.name for run in runs)}.")
    scores = {f"{task}_score": filed_probability(table, task) for task in TASKS if task != "class"}
    return table[[*COLUMNS, *PROBABILITIES]].assign(**scores)


def filed_probability(table: pd.DataFrame, task: str) -> np.ndarray:
    """Probability (N,) of each row's own mask, gender or age class: the sum over the classes that have it."""
    place = TASKS[1:].index(task)
    of_class = split_class_id(np.arange(N_CLASSES))[place]  # (18,)
    filed = split_class_id(table["target"].to_numpy(np.int64))[place]  # (N,)
    return (table[PROBABILITIES].to_numpy() * (of_class == filed[:, None])).sum(1)


def fold_lines(folder: Path) -> list[str]:
    """What came of it, for people."""
    result = json.loads((folder / "folds.json").read_text("utf8"))
    lines = [f"  {run}  macro F1 {row['f1']:.4f}  accuracy {row['accuracy']:.4f}" for run, row in _each(result)]
    low, high = result["intervals"]["f1"]
    return [
        *lines,
        f"all {result['rows']} photos of {result['people']} people of {result['manifest']}, each out of its fold: "
        f"macro F1 {result['scores']['f1']:.4f} ({low:.4f} to {high:.4f}), "
        f"accuracy {result['scores']['accuracy']:.4f}; "
        f"wrote {folder / 'out_of_fold.parquet'}",
    ]


def _each(result: dict[str, Any]) -> list[tuple[str, dict[str, float]]]:
    return list(zip(result["runs"], result["by_fold"], strict=True))


def _of_fold(settings: TrainSettings, fold: int) -> TrainSettings:
    return settings.model_copy(update={"data": settings.data.model_copy(update={"fold": fold})})


def _scores(table: pd.DataFrame) -> dict[str, float]:
    return scores_of(confusion_of(table["target"].to_numpy(np.int64), table["predicted"].to_numpy(np.int64)))
