"""Split leakage: validation scores under a random split of images, against scores on people never trained on.

With photos of one person on both sides of a split, a network can recognise people instead of labels, which raises its
validation score. To measure this, a fifth of the people is held out as a test set, and the rest is split twice: by
image and by person. Both are trained with the same settings; the validation score (claimed) is compared with the score
on the held-out people (true). Every seed holds out another fifth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from data_manifests.errors import ManifestError
from data_manifests.splits import assign_splits
from data_manifests.versions import Manifest, Store, Version
from pipeline.runs import Run
from reporting.mistakes import labels_in
from reporting.tables import NO_VALUE
from train.evaluation import (
    confusion_of,
    draw_people_after_all,
    headline_of,
    not_measurable,
    percentile_interval,
    person_counts,
    resampled_counts,
    score_arrays,
)
from train.head_parts import tasks_of_head
from train.settings import TrainSettings

UNITS = ("image", "person")
FOLDS = 5
Test = Callable[[Run], pd.DataFrame]  # predictions of a run for the split `test` of its manifest


def leakage_table(
    store: Store,
    ref: str,
    settings: TrainSettings,
    seeds: int,
    train: Callable[[str, TrainSettings], Run],
    test: Test,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Split `ref` by image and by person, train each with each seed, and compare claimed with true scores.

    Returns plain JSON values: for each unit the claimed and the true scores (mean over seeds), and the gap in the main
    one, `headline`, with its 95 % interval over people. Raises ManifestError if the labels measure no score.
    """
    manifest, tasks = store.read(ref), tasks_of_head(settings.model.head)
    data = settings.data.model_copy(update={"allow_shared_persons": True})
    rows = []
    for unit in UNITS:
        versions = [write_split(store, manifest, unit, seed) for seed in range(seeds)]
        runs = [
            train(version.ref, settings.model_copy(update={"data": data, "seed": seed}))
            for seed, version in enumerate(versions)
        ]
        claims, truths = [_val_of(run) for run in runs], [test(run) for run in runs]
        claimed, true = _mean_scores(claims, rng, tasks), _mean_scores(truths, rng, tasks)
        name = headline_of({name: _number(min(claimed[name][0], true[name][0])) for name in set(claimed) & set(true)})
        if name is None:
            raise ManifestError(
                f"the leakage of {manifest.version.ref} is not measurable: one class. Give another --leak."
            )
        gap = claimed[name] - true[name]
        low, high = percentile_interval(gap[1:])
        rows.append(
            {
                "unit": unit,
                "runs": [run.name for run in runs],
                "val_rows": sum(map(len, claims)),
                "trained_on": sum(_trained_on(run) for run in runs),
                "headline": name,
                "claimed": {name: _number(values[0]) for name, values in claimed.items()},
                "true": {name: _number(values[0]) for name, values in true.items()},
                "gap": float(gap[0]),
                "low": low,
                "high": high,
            }
        )
    people = sum(int(part["person_id"].nunique()) for part in truths)
    return {"manifest": manifest.version.ref, "test_rows": sum(map(len, truths)), "test_people": people, "rows": rows}


def write_split(store: Store, manifest: Manifest, unit: str, seed: int) -> Version:
    """Write `resplit` as a version of `NAME-by-image` or `NAME-by-person`."""
    name, table = f"{manifest.version.name}-by-{unit}", resplit(manifest.table, unit, seed)
    return store.write(name, table, "split", parents=[manifest.version], parameters={"unit": unit}, seed=seed)


def resplit(table: pa.Table, unit: str, seed: int) -> pa.Table:
    """Assign new splits: a fifth of the people to `test`, and a quarter of the other images or people to `val`.

    Both units hold out the same people, and seeds 0 to 4 hold out five disjoint fifths. Synthetic rows get no split.
    """
    bare = _with_text(table, "split", np.full(table.num_rows, None))
    bare = bare.set_column(table.column_names.index("fold"), "fold", pa.nulls(table.num_rows, pa.int8()))
    fold = assign_splits(bare, folds=FOLDS, seed=seed // FOLDS)["fold"].to_numpy().astype(int)
    held_out = fold == seed % FOLDS
    if unit == "image":
        rest = np.random.default_rng(seed).permutation(np.flatnonzero(~held_out))
        val = np.isin(np.arange(len(fold)), rest[: round(len(rest) / (FOLDS - 1))])
    else:
        val = fold == (seed + 1) % FOLDS
    split = np.where(held_out, "test", np.where(val, "val", "train")).astype(object)
    split[table.column("is_synthetic").to_numpy()] = None
    return _with_text(table, "split", split)


def _with_text(table: pa.Table, name: str, values: np.ndarray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values.tolist(), pa.string()))


def _val_of(run: Run) -> pd.DataFrame:
    predictions = run.predictions().to_pandas()
    return predictions[predictions["split"] == "val"]


def _trained_on(run: Run) -> int:
    """Return the number of validation photos of a run whose person is in its training rows."""
    predictions = run.predictions(["person_id", "split"]).to_pandas()
    is_val = predictions["split"] == "val"
    return int(predictions.loc[is_val, "person_id"].isin(predictions.loc[~is_val, "person_id"]).sum())


def _mean_scores(
    parts: Sequence[pd.DataFrame], rng: np.random.Generator, tasks: Sequence[str], rounds: int = 1000
) -> dict[str, np.ndarray]:
    """Return scores (1 + rounds,) by name, means over the parts: first of all people, then of draws of people.

    A score that cannot be measured in one of the parts is NaN.
    """
    by_part = []
    for part in parts:
        labels, predicted = labels_in(part), part["predicted"].to_numpy(np.int64)
        of_person = person_counts(labels, predicted, part["person_id"].tolist())
        draws = draw_people_after_all(len(of_person), rng, rounds)
        without = not_measurable(confusion_of(labels, predicted), tasks)
        by_part.append(score_arrays(resampled_counts(draws, of_person), without))
    names = [name for name in by_part[0] if all(name in scores for scores in by_part)]
    return {name: np.mean([scores[name] for scores in by_part], axis=0) for name in names}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def leakage_lines(leakage: dict[str, Any]) -> list[str]:
    """Format the leakage table as text."""
    head = ("claimed F1", "true F1", "claimed accuracy", "true accuracy")
    lines = [f"{'split by':10}" + "".join(f"{title:>18}" for title in head) + "   gap in F1, 95 % over people"]
    for row in leakage["rows"]:
        claimed, true, name = row["claimed"], row["true"], row["headline"]
        values = (claimed[name], true[name], claimed["accuracy"], true["accuracy"])
        gap = f"{row['gap']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f})"
        cells = "".join(f"{NO_VALUE if value is None else f'{value:.4f}':>18}" for value in values)
        lines.append(f"{row['unit']:10}{cells}   {gap}")
    return lines
