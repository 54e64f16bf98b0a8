"""Evaluation of a run's best network on the labelled rows of a manifest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import ManifestError
from data_manifests.schema import USABLE
from data_manifests.versions import Manifest, Store
from pipeline.runs import CONFIG, Run, find_run
from train.data import COLUMNS
from train.evaluation.metrics import confusion_of, scores_of
from train.evaluation.predict import predict_rows
from train.models import Trained, choose_device, load_trained
from train.settings import load_train_settings

Echo = Callable[[str], None]


def load_best(run: Run) -> Trained:
    """Load the best network of a run, on the device of its settings."""
    return load_trained(run.path / "best.pt", choose_device(load_train_settings(run.path / CONFIG).device))


def usable_rows(manifest: Manifest, split: str | None = None, *, labelled: bool = False) -> pa.Table:
    """Return the usable rows of a manifest with COLUMNS; class -1 where there is no label.

    Raises ManifestError when there are none.
    """
    condition = pc.field("status").isin(USABLE)
    if split:
        condition = condition & (pc.field("split") == split)
    if labelled:
        condition = condition & pc.is_valid(pc.field("class_id"))
    rows = manifest.table.filter(condition).select(list(COLUMNS))
    if rows.num_rows == 0:
        kind, where = "labelled row" if labelled else "row", f" in the split {split!r}" if split else ""
        raise ManifestError(f"{manifest.version.ref} has no usable {kind}{where}. Choose another version or --split.")
    index = rows.column_names.index("class_id")
    return rows.set_column(index, "class_id", pc.fill_null(rows["class_id"], -1))


def evaluate_run(
    store: Store, name: str, ref: str | None, split: str, *, tta: Sequence[str] = (), echo: Echo
) -> dict[str, Any]:
    """Evaluate a run on a split of `ref` (default: its own manifest); write scores and predictions into the run.

    Returns plain JSON values: `run`, `manifest`, `split`, `tta`, `rows`, `scores` by name, and the files written as
    `predictions` and `report`. Raises ManifestError for other age cuts, or without labelled rows.
    """
    run = find_run(store, name)
    manifest = store.read(ref or run.about()["manifest"])
    trained = load_best(run)
    trained.check_taxonomy(manifest.cuts, manifest.version.ref)
    rows = usable_rows(manifest, split, labelled=True)
    predictions = predict_rows(trained, rows, store, manifest.version.ref, "evaluate", tta)
    scores = scores_of(confusion_of(predictions["target"].to_numpy(np.int64), predictions["predicted"].to_numpy()))
    file = "-".join(["evaluate", manifest.version.name, str(manifest.version.number), split, *tta])
    run.write_table(f"{file}.parquet", predictions)
    about = {"manifest": manifest.version.ref, "split": split, "tta": list(tta), "scores": scores}
    run.write_json(f"{file}.json", about)
    for task in ("", "mask_", "gender_", "age_"):
        label = task.rstrip("_") or "18 classes"
        echo(f"  {label:10}  macro F1 {scores[f'{task}f1']:.4f}  accuracy {scores[f'{task}accuracy']:.4f}")
    echo(f"{run.name} on {len(predictions)} rows of {manifest.version.ref}, {split}: wrote {run.path / file}.json")
    files = {"predictions": f"{run.path / file}.parquet", "report": f"{run.path / file}.json"}
    return {"run": run.name, "rows": len(predictions)} | about | files
