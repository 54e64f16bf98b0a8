"""Evaluation of a run's best network on the labelled rows of a manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import ManifestError
from data_manifests.labels import UNKNOWN
from data_manifests.schema import USABLE
from data_manifests.versions import Manifest, Store
from pipeline.runs import CONFIG, Run, find_run
from reporting.mistakes import known_labels, labels_in
from reporting.tables import score_text
from train.evaluation.metrics import NOT_TRAINED, TASKS, confusion_of, not_measurable, scores_of
from train.evaluation.predict import predict_rows
from train.models import Trained, choose_device, load_trained
from train.rows import labels_of_rows, rows_with_targets
from train.settings import load_train_settings

Echo = Callable[[str], None]


def load_best(run: Run) -> Trained:
    """Load the best network of a run, on the device of its settings."""
    return load_trained(run.path / "best.pt", choose_device(load_train_settings(run.path / CONFIG).device))


def usable_rows(manifest: Manifest, split: str | None = None, *, tasks: Sequence[str] = ()) -> pa.Table:
    """Return the usable rows of a manifest, as `rows_with_targets`; with `tasks`, those that have a label of one.

    Raises ManifestError when there are none.
    """
    condition = pc.field("status").isin(USABLE)
    if split:
        condition = condition & (pc.field("split") == split)
    table = manifest.table.filter(condition)
    if tasks:
        table = table.filter(pa.array((known_labels(labels_of_rows(table), tasks) != UNKNOWN).any(1)))
    rows = rows_with_targets(table)
    if rows.num_rows == 0:
        kind, where = (
            ("labelled row" if set(tasks) == set(TASKS[1:]) else f"row with a label of {' or '.join(tasks)}")
            if tasks
            else "row",
            f" in the split {split!r}" if split else "",
        )
        raise ManifestError(f"{manifest.version.ref} has no usable {kind}{where}. Choose another version or --split.")
    return rows


def evaluate_run(
    store: Store, name: str, ref: str | None, split: str, *, tta: Sequence[str] = (), echo: Echo
) -> dict[str, Any]:
    """Evaluate a run on a split of `ref` (default: its own manifest); write scores and predictions into the run.

    Returns plain JSON values: `run`, `manifest`, `split`, `tta`, `rows`, `scores` by name (None where `not_measurable`
    has a reason, by task), and the files written as `predictions` and `report`. Raises ManifestError for other age
    cuts, or without labelled rows.
    """
    run = find_run(store, name)
    manifest = store.read(ref or run.about()["manifest"])
    trained = load_best(run)
    trained.check_taxonomy(manifest.cuts, manifest.version.ref)
    rows = usable_rows(manifest, split, tasks=trained.tasks)
    predictions = predict_rows(trained, rows, store, manifest.version.ref, "evaluate", tta)
    counts = confusion_of(labels_in(predictions), predictions["predicted"].to_numpy())
    file = "-".join(["evaluate", manifest.version.name, str(manifest.version.number), split, *tta])
    run.write_table(f"{file}.parquet", predictions)
    where = {"val": "validation", "train": "training"}.get(split, split)
    about: dict[str, Any] = {"manifest": manifest.version.ref, "split": split, "tta": list(tta)}
    about |= {
        "scores": scores_of(counts, trained.tasks),
        "not_measurable": not_measurable(counts, trained.tasks, where),
    }
    run.write_json(f"{file}.json", about)
    for line in task_lines(about["scores"], about["not_measurable"]):
        echo(line)
    echo(f"{run.name} on {len(predictions)} rows of {manifest.version.ref}, {split}: wrote {run.path / file}.json")
    files = {"predictions": f"{run.path / file}.parquet", "report": f"{run.path / file}.json"}
    return {"run": run.name, "rows": len(predictions)} | about | files


def task_lines(scores: Mapping[str, float | None], reasons: Mapping[str, str]) -> list[str]:
    """Format macro F1 and accuracy of each task as lines, the tasks that are not trained left out."""
    lines = []
    for task in TASKS:
        prefix, title = ("", "18 classes") if task == "class" else (f"{task}_", task)
        if task not in reasons:
            lines.append(
                f"  {title:10}  macro F1 {scores[f'{prefix}f1']:.4f}  accuracy {scores[f'{prefix}accuracy']:.4f}"
            )
        elif reasons[task] != NOT_TRAINED:
            lines.append(f"  {title:10}  {score_text(None, reasons[task])}")
    return lines
