"""The leak: what a random split of images claims, and what strangers then show.

Photos of one person on both sides of a split let a network recognise people instead of judging them, and the
validation score counts that as skill. To show it, the validation people of a manifest are set aside as a test set that
nobody trains on, and the rest is split twice: by image and by person. Each is trained alike; what its validation set
claims stands beside what is true of the people set aside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import ManifestError
from data_manifests.splits import EIGHT_TO_TWO, assign_splits
from data_manifests.store import Store
from data_manifests.version import Manifest, Version
from train.config import TrainSettings
from train.metrics import drawn_counts, person_counts, person_draws, score_arrays
from train.runs import Run

UNITS = ("image", "person")
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
        version = write_split(store, manifest, unit)
        chosen = [settings.model_copy(update={"data": data, "seed": seed}) for seed in range(seeds)]
        runs = [train(version.ref, one) for one in chosen]
        claims = [_val_of(run) for run in runs]
        truths = [test(run) for run in runs]
        seen = set(_people(store.read(version.ref), "train"))
        claimed, true = (_mean_scores(parts, rng) for parts in (claims, truths))
        gap = claimed["f1"] - true["f1"]
        low, high = np.nanpercentile(gap[1:], (2.5, 97.5))
        rows.append(
            {
                "unit": unit,
                "manifest": version.ref,
                "runs": [run.name for run in runs],
                "val_rows": len(claims[0]),
                "val_people": int(claims[0]["person_id"].nunique()),
                "val_people_trained_on": len(seen & set(claims[0]["person_id"])),
                "claimed": {name: float(values[0]) for name, values in claimed.items()},
                "true": {name: float(values[0]) for name, values in true.items()},
                "gap": float(gap[0]),
                "low": float(low),
                "high": float(high),
            }
        )
    people = int(truths[0]["person_id"].nunique())
    return {"manifest": manifest.version.ref, "test_rows": len(truths[0]), "test_people": people, "rows": rows}


def write_split(store: Store, manifest: Manifest, unit: str) -> Version:
    """`NAME-by-image` or `NAME-by-person`: `resplit` as a version of its own."""
    table = resplit(manifest.table, unit, 0)
    name = f"{manifest.version.name}-by-{unit}"
    return store.write(name, table, "split", parents=[manifest.version], parameters={"unit": unit}, seed=0)


def resplit(table: pa.Table, unit: str, seed: int) -> pa.Table:
    """Rows of `val` become `test`, those of `train` are split 8:2 by `unit`; synthetic rows are left out (no split).

    Raises ManifestError when nobody is in `val` or nobody in `train`.
    """
    split = np.asarray(table.column("split").to_pylist(), object)
    for name in ("train", "val"):
        if not (split == name).any():
            raise ManifestError(f"the leak table needs people in {name!r}. Run: python -m data_manifests split REF")
    split[split == "val"] = "test"
    rest = split == "train"
    if unit == "image":
        val = np.random.default_rng(seed).permutation(np.flatnonzero(rest))[: round(EIGHT_TO_TWO["val"] * rest.sum())]
        split[val] = "val"
    else:
        split[rest] = None
        split = np.asarray(assign_splits(_with_split(table, split), seed=seed).column("split").to_pylist(), object)
    split[table.column("is_synthetic").to_numpy()] = None
    return _with_split(table, split)


def _with_split(table: pa.Table, split: np.ndarray) -> pa.Table:
    place = table.column_names.index("split")
    return table.set_column(place, "split", pa.array(split.tolist(), pa.string()))


def _val_of(run: Run) -> pd.DataFrame:
    predictions = pd.read_parquet(run.path / "predictions.parquet")
    return predictions[predictions["split"] == "val"]


def _people(manifest: Manifest, split: str) -> list[str]:
    table = manifest.table
    return table.filter(pc.field("split") == split)["person_id"].to_pylist()


def _mean_scores(parts: Sequence[pd.DataFrame], rng: np.random.Generator, rounds: int = 1000) -> dict[str, np.ndarray]:
    """Scores (1 + rounds,) by name, mean over the parts: of all people first, then of draws of people."""
    target, people = parts[0]["target"].to_numpy(), parts[0]["person_id"].tolist()
    n = len(set(people))
    weights = np.concatenate([np.ones((1, n)), person_draws(n, rng, rounds)])
    by_part = [
        score_arrays(drawn_counts(weights, person_counts(target, part["predicted"].to_numpy(), people)))
        for part in parts
    ]
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
