"""Cross-validation by person: each labelled photo is predicted by a network that was not trained on its person.

    workspace/folds/<run of the first fold>/out_of_fold.parquet    one row per photo, in order of sample_id
                                           /folds.json             manifest, runs, scores with intervals over people

`out_of_fold.parquet` joins a manifest by `sample_id`: `mask_score`, `gender_score`, `age_score` are the probabilities
of the given labels (low: suspect), which an audit reads; p_00 … p_17 those of all classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_manifests.errors import ManifestError, StageError
from data_manifests.labels import UNKNOWN
from data_manifests.versions import Store
from pipeline.runs import TARGETS, Run
from reporting.mistakes import known_labels, labels_in, probability_of
from reporting.tables import score_text
from train.engine import choose_head, train_and_report
from train.evaluation import (
    PROBABILITIES,
    TASKS,
    Scores,
    bootstrap_intervals,
    confusion_of,
    headline_of,
    not_measurable,
    score_title,
    scores_of,
)
from train.head_parts import tasks_of_head
from train.rows import folds_of
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
    settings = choose_head(settings, manifest, echo)  # one head for all folds
    tasks = tasks_of_head(settings.model.head)
    runs = [
        train_and_report(store, ref, _of_fold(settings, fold), once=True, echo=echo, each_epoch=False) for fold in folds
    ]
    table = out_of_fold(runs, tasks)
    labels, predicted = labels_in(table), table["predicted"].to_numpy(np.int64)
    people, rng = table["person_id"].tolist(), np.random.default_rng(settings.seed)
    counts = confusion_of(labels, predicted)
    scores = scores_of(counts, tasks)
    result = {
        "manifest": manifest.version.ref,
        "runs": [run.name for run in runs],
        "rows": len(table),
        "people": int(table["person_id"].nunique()),
        "scores": scores,
        "headline": headline_of(scores),
        "not_measurable": not_measurable(counts, tasks),
        "intervals": _without_nan(bootstrap_intervals(labels, predicted, people, rng, tasks=tasks)),
        "by_fold": [_scores(table[table["run"] == run.name], tasks) for run in runs],
    }
    folder = Run(store.workspace / "folds" / runs[0].name)  # written like the folder of a run
    folder.write_table("out_of_fold.parquet", table)
    folder.write_json("folds.json", result)
    for line in _lines(result, folder.path):
        echo(line)
    return folder.path


def out_of_fold(runs: Sequence[Run], tasks: Sequence[str] = TASKS[1:]) -> pd.DataFrame:
    """Return the validation predictions of all runs, one row per photo. `tasks` are those that the runs predict.

    Raises StageError if two runs share a photo.
    """
    parts = []
    for run in runs:
        part = run.predictions().to_pandas()
        parts.append(part[part["split"] == "val"].assign(run=run.name))
    table = pd.concat(parts).sort_values("sample_id", ignore_index=True)
    if table["sample_id"].duplicated().any():
        names = ", ".join(run.name for run in runs)
        raise StageError(f"a photo is in the validation rows of two of the runs {names}. Split the folds again.")
    scores = {
        f"{task}_score": given_label_probability(table, task) if task in tasks else np.full(len(table), np.nan)
        for task in TASKS[1:]
    }
    targets = [name for name in TARGETS.values() if name in table]
    return table[[*COLUMNS, *targets, *PROBABILITIES]].assign(**scores)


def given_label_probability(table: pd.DataFrame, task: str) -> np.ndarray:
    """Return the probability (N,) of each row's given mask, gender or age class; NaN for a row without that label."""
    given = known_labels(labels_in(table), [task])
    probability = probability_of(table[PROBABILITIES].to_numpy(), given)
    return np.where((given != UNKNOWN).any(1), probability, np.nan)


def _lines(result: dict[str, Any], folder: Path) -> list[str]:
    """Format the scores of each fold and of all photos as lines of text."""
    by_fold = zip(result["runs"], result["by_fold"], strict=True)
    main = result["headline"]
    of_people = f" of {result['people']} people" if result["people"] != result["rows"] else ""  # else not known
    whole = f"{result['rows']} photos{of_people} of {result['manifest']}, out of fold: "
    if main is None:
        return [f"{whole}no score is measurable; wrote {folder / 'out_of_fold.parquet'}"]
    low, high = result["intervals"][main]
    has_classes = "class" not in result["not_measurable"]
    accuracy = f", accuracy {result['scores']['accuracy']:.4f}" if has_classes else ""
    lines = [f"  {run}  {score_title(main)} {score_text(scores.get(main))}" for run, scores in by_fold]
    return [*lines, f"{whole}{score_title(main)} {result['scores'][main]:.4f} ({low:.4f} to {high:.4f}){accuracy}; "
            f"wrote {folder / 'out_of_fold.parquet'}"]  # fmt: skip


def _of_fold(settings: TrainSettings, fold: int) -> TrainSettings:
    return settings.model_copy(update={"data": settings.data.model_copy(update={"fold": fold})})


def _scores(table: pd.DataFrame, tasks: Sequence[str]) -> Scores:
    return scores_of(confusion_of(labels_in(table), table["predicted"].to_numpy(np.int64)), tasks)


def _without_nan(intervals: Mapping[str, tuple[float, float]]) -> dict[str, list[float | None]]:
    return {name: [None if np.isnan(end) else end for end in ends] for name, ends in intervals.items()}
