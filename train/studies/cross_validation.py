"""Cross-validation by person: each labelled photo is predicted by a network that was not trained on its person.

    workspace/folds/<run of the first fold>/out_of_fold.parquet    one row per photo, in order of sample_id
                                           /folds.json             manifest, runs, scores with intervals over people

`out_of_fold.parquet` joins a manifest by `sample_id`: `mask_score`, `gender_score`, `age_score` are the probabilities
of the given labels (low: suspect), which an audit reads; p_00 … p_17 those of all classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_manifests.errors import ManifestError, StageError
from data_manifests.taxonomy import N_CLASSES, split_class_id
from data_manifests.versions import Store
from pipeline.runs import Run
from train.data import folds_of
from train.engine import train_and_report
from train.evaluation import PROBABILITIES, TASKS, bootstrap_intervals, confusion_of, scores_of
from train.settings import TrainSettings

COLUMNS = ["sample_id", "person_id", "is_synthetic", "fold", "run", "target", "predicted", "confidence"]
Echo = Callable[[str], None]


def cross_validate(store: Store, ref: str, settings: TrainSettings, *, echo: Echo) -> Path:
    """Train once for each fold, or take existing runs, and write the out-of-fold predictions and scores.

    Returns the folder. Raises ManifestError for a manifest without folds.
    """
    manifest = store.read(ref)
    folds = folds_of(manifest)
    if len(folds) < 2:
        ref = manifest.version.ref
        raise ManifestError(f"{ref} has no folds. Run: facecurate split {ref} --folds 5")
    runs = [
        train_and_report(store, ref, _of_fold(settings, fold), once=True, echo=echo, each_epoch=False) for fold in folds
    ]
    table = out_of_fold(runs)
    target, predicted = table["target"].to_numpy(np.int64), table["predicted"].to_numpy(np.int64)
    people = table["person_id"].tolist()
    result = {
        "manifest": manifest.version.ref,
        "runs": [run.name for run in runs],
        "rows": len(table),
        "people": int(table["person_id"].nunique()),
        "scores": scores_of(confusion_of(target, predicted)),
        "intervals": bootstrap_intervals(target, predicted, people, np.random.default_rng(settings.seed)),
        "by_fold": [_scores(table[table["run"] == run.name]) for run in runs],
    }
    folder = Run(store.workspace / "folds" / runs[0].name)  # written like the folder of a run
    folder.write_table("out_of_fold.parquet", table)
    folder.write_json("folds.json", result)
    for line in _lines(result, folder.path):
        echo(line)
    return folder.path


def out_of_fold(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the validation predictions of all runs, one row per photo. Raises StageError if two runs share a photo."""
    parts = []
    for run in runs:
        part = run.predictions().to_pandas()
        parts.append(part[part["split"] == "val"].assign(run=run.name))
    table = pd.concat(parts).sort_values("sample_id", ignore_index=True)
    if table["sample_id"].duplicated().any():
        names = ", ".join(run.name for run in runs)
        raise StageError(f"a photo is in the validation rows of two of the runs {names}. Split the folds again.")
    scores = {f"{task}_score": given_label_probability(table, task) for task in TASKS if task != "class"}
    return table[[*COLUMNS, *PROBABILITIES]].assign(**scores)


def given_label_probability(table: pd.DataFrame, task: str) -> np.ndarray:
    """Return the probability (N,) of each row's given mask, gender or age class, summed over its classes."""
    index = TASKS[1:].index(task)
    of_class = split_class_id(np.arange(N_CLASSES))[index]  # (18,)
    given = split_class_id(table["target"].to_numpy(np.int64))[index]  # (N,)
    return (table[PROBABILITIES].to_numpy() * (of_class == given[:, None])).sum(1)


def _lines(result: dict[str, Any], folder: Path) -> list[str]:
    """Format the scores of each fold and of all photos as lines of text."""
    by_fold = zip(result["runs"], result["by_fold"], strict=True)
    low, high = result["intervals"]["f1"]
    return [
        *(f"  {run}  macro F1 {scores['f1']:.4f}  accuracy {scores['accuracy']:.4f}" for run, scores in by_fold),
        f"{result['rows']} photos of {result['people']} people of {result['manifest']}, out of fold: "
        f"macro F1 {result['scores']['f1']:.4f} ({low:.4f} to {high:.4f}), "
        f"accuracy {result['scores']['accuracy']:.4f}; wrote {folder / 'out_of_fold.parquet'}",
    ]


def _of_fold(settings: TrainSettings, fold: int) -> TrainSettings:
    return settings.model_copy(update={"data": settings.data.model_copy(update={"fold": fold})})


def _scores(table: pd.DataFrame) -> dict[str, float]:
    return scores_of(confusion_of(table["target"].to_numpy(np.int64), table["predicted"].to_numpy(np.int64)))
