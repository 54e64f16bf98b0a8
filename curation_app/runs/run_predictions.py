"""The predictions of a training run, matched to the rows of a version or reduced to its worst mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation_app.tiles import Predictions
from data_manifests.errors import ManifestError
from data_manifests.labels import TASKS, UNKNOWN
from data_manifests.taxonomy import split_class_id
from pipeline.runs import Run, section
from reporting.mistakes import MISTAKE_COLUMNS, worst_mistakes


def mistakes_of(run: Run, limit: int) -> list[Mapping[str, Any]]:
    """Return the worst mistakes of a run on validation, the most confident first.

    Each has `sample_id`, `target`, `predicted` (classes 0 to 17), `confidence`, and `p_label`, the probability of the
    label. Raises StageError if the run has no predictions.
    """
    table = run.predictions(MISTAKE_COLUMNS)
    wrong = pc.and_(pc.equal(table["split"], "val"), pc.not_equal(table["target"], table["predicted"]))
    found = worst_mistakes(table.filter(wrong).to_pandas(), limit)
    columns = ["sample_id", "target", "predicted", "confidence", "p_label"]
    return [{str(name): value for name, value in row.items()} for row in found[columns].to_dict("records")]


def predictions_for(run: Run, sample_ids: pa.ChunkedArray) -> Predictions:
    """Return the predictions of a run for the rows (N,) of a version, of the tasks that its head predicts.

    Raises StageError if the run has no predictions, ManifestError if it predicted none of the rows.
    """
    table = run.predictions(["sample_id", "predicted", "confidence"])
    at = pc.index_in(sample_ids.cast(pa.string()), table["sample_id"].cast(pa.string()).combine_chunks())
    place = pc.fill_null(at, UNKNOWN).to_numpy()
    if not (place >= 0).any():
        raise ManifestError(
            f"run {run.name!r} predicted the images of {run.manifest or 'another version'}, none of this one. "
            "Choose that version in the sidebar."
        )
    classes = np.append(table["predicted"].to_numpy().astype(np.int8), np.int8(UNKNOWN))[place]
    confidence = np.append(table["confidence"].to_numpy().astype(np.float32), np.float32("nan"))[place]
    by_task = dict(zip(TASKS, split_class_id(classes), strict=True))
    labels = {task: np.where(classes == UNKNOWN, UNKNOWN, by_task[task]) for task in tasks_of(run)}
    return Predictions(labels, confidence)


def tasks_of(run: Run) -> tuple[str, ...]:
    """Return the tasks that a run's head predicts: those that `model.head` names, else all three."""
    names = str(section(run.settings(), "model").get("head", "")).split("+")
    return tuple(task for task in TASKS if task in names) or TASKS
