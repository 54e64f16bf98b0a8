"""The leak: what a random split of images claims, and what strangers then show.

Photos of one person on both sides of a split let a network recognise people instead of judging them, and the
validation score counts that as skill. To show it, a fifth of the people is set aside as a test set that nobody trains
on, and the rest is split twice: by image and by person. Each is trained alike; what its validation set claims stands
beside what is true of the people set aside. Every seed sets aside another fifth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from data_manifests.splits import assign_splits
from data_manifests.versions import Manifest, Store, Version
from train.evaluation import drawn_counts, person_counts, person_draws, score_arrays
from train.runs import Run
from train.settings import TrainSettings

UNITS = ("image", "person")
FOLDS = 5
Test = Callable[[Run], pd.DataFrame]  # predictions of a run for the split `test` of its manifest


def leak_table(
    store: Store,
    ref: str,
    settings: TrainSettings,
    seeds: int,
    train: Callable[[str, TrainSettings], Run],
    test: Test,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Split `ref` by image and by person, train each with each seed, and compare what is claimed with what is true.

    Returns plain JSON values: for each unit the claimed and the true macro F1 and accuracy (mean over seeds), and the
    gap in macro F1 with its 95 % interval over people.
    """
    manifest = store.read(ref)
    data = settings.data.model_copy(update={"allow_shared_persons": True})
    rows = []
    for unit in UNITS:
        versions = [write_split(store, manifest, unit, seed) for seed in range(seeds)]
        runs = [
            train(version.ref, settings.model_copy(update={"data": data, "seed": seed}))
            for seed, version in enumerate(versions)
        ]
        claims, truths = [_val_of(run) for run in runs], [test(run) for run in runs]
        claimed, true = _mean_scores(claims, rng), _mean_scores(truths, rng)
        gap = claimed["f1"] - true["f1"]
        low, high = np.nanpercentile(gap[1:], (2.5, 97.5))
        rows.append(
            {
                "unit": unit,
                "runs": [run.name for run in runs],
                "val_rows": sum(map(len, claims)),
                "trained_on": sum(_seen(run) for run in runs),
                "claimed": {name: float(values[0]) for name, values in claimed.items()},
                "true": {name: float(values[0]) for name, values in true.items()},
                "gap": float(gap[0]),
                "low": float(low),
                "high": float(high),
            }
        )
    people = sum(int(part["person_id"].nunique()) for part in truths)
    return {"manifest": manifest.version.ref, "test_rows": sum(map(len, truths)), "test_people": people, "rows": rows}


def write_split(store: Store, manifest: Manifest, unit: str, seed: int) -> Version:
    """`resplit` as a version of `NAME-by-image` or `NAME-by-person`."""
    name, table = f"{manifest.version.name}-by-{unit}", resplit(manifest.table, unit, seed)
    return store.write(name, table, "split", parents=[manifest.version], parameters={"unit": unit}, seed=seed)


def resplit(table: pa.Table, unit: str, seed: int) -> pa.Table:
    """Splits dealt anew: a fifth of the people is `test`, and of the rest a quarter of the images or people is `val`.

    For both units the same people are set aside, and seeds 0 to 4 set aside five different fifths. Synthetic rows are
    left out (no split).
    """
    bare = _with_text(table, "split", np.full(table.num_rows, None))
    place = table.column_names.index("fold")
    bare = bare.set_column(place, "fold", pa.nulls(table.num_rows, pa.int8()))
    fold = assign_splits(bare, folds=FOLDS, seed=seed // FOLDS)["fold"].to_numpy().astype(int)
    aside = fold == seed % FOLDS
    if unit == "image":
        rest = np.random.default_rng(seed).permutation(np.flatnonzero(~aside))
        val = np.isin(np.arange(len(fold)), rest[: round(len(rest) / (FOLDS - 1))])
    else:
        val = fold == (seed + 1) % FOLDS
    split = np.where(aside, "test", np.where(val, "val", "train")).astype(object)
    split[table.column("is_synthetic").to_numpy()] = None
    return _with_text(table, "split", split)


def _with_text(table: pa.Table, name: str, values: np.ndarray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values.tolist(), pa.string()))


def _val_of(run: Run) -> pd.DataFrame:
    predictions = pd.read_parquet(run.path / "predictions.parquet")
    return predictions[predictions["split"] == "val"]


def _seen(run: Run) -> int:
    """How many validation photos of a run show somebody whom it was trained on."""
    predictions = pd.read_parquet(run.path / "predictions.parquet", columns=["person_id", "split"])
    is_val = predictions["split"] == "val"
    return int(predictions.loc[is_val, "person_id"].isin(predictions.loc[~is_val, "person_id"]).sum())


def _mean_scores(parts: Sequence[pd.DataFrame], rng: np.random.Generator, rounds: int = 1000) -> dict[str, np.ndarray]:
    """Scores (1 + rounds,) by name, mean over the parts: of all people of each part first, then of draws of them."""
    by_part = []
    for part in parts:
        of_person = person_counts(part["target"].to_numpy(), part["predicted"].to_numpy(), part["person_id"].tolist())
        draws = person_draws(len(of_person), rng, rounds)
        weights = np.concatenate([np.ones((1, len(of_person))), draws])
        by_part.append(score_arrays(drawn_counts(weights, of_person)))
    return {name: np.mean([scores[name] for scores in by_part], axis=0) for name in ("f1", "accuracy")}


def leak_lines(leak: dict[str, Any]) -> list[str]:
    """The leak as a table of text."""
    head = ("claimed F1", "true F1", "claimed accuracy", "true accuracy")
    lines = [f"{'split by':10}" + "".join(f"{word:>18}" for word in head) + "   gap in F1, 95 % over people"]
    for row in leak["rows"]:
        claimed, true = row["claimed"], row["true"]
        values = (claimed["f1"], true["f1"], claimed["accuracy"], true["accuracy"])
        gap = f"{row['gap']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f})"
        lines.append(f"{row['unit']:10}" + "".join(f"{value:18.4f}" for value in values) + f"   {gap}")
    return lines
