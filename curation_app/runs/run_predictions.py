"""The predictions of a training run, matched to the rows of a version or reduced to its worst mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation_app.runs.run_scores import tasks_of
from curation_app.tiles import Predictions
from data_manifests.errors import ManifestError, StageError
from data_manifests.labels import TASKS, UNKNOWN, labels_of_class
from data_manifests.taxonomy import split_class_id
from pipeline.runs import TARGETS, Run
from reporting.mistakes import MISTAKE_COLUMNS, known_labels, labels_in, worst_mistakes


def mistakes_of(run: Run, limit: int) -> list[dict[str, Any]]:
    """Return the worst mistakes of a run on validation, the most confident first.

    Each has `sample_id`, `labels` and `predicted` (codes of mask, gender and age; UNKNOWN for a label that is not known
    and for a task that the run does not predict), `confidence`, and `p_label`, the probability of the labels. Raises
    StageError if the run has no predictions.
    """
    tasks = tasks_of(run)
    table = _with_targets(run)
    found = worst_mistakes(table.filter(pc.equal(table["split"], "val")).to_pandas(), limit, tasks)
    labels = known_labels(labels_in(found), tasks).tolist()
    predicted = known_labels(labels_of_class(found["predicted"].to_numpy(np.int64)), tasks).tolist()
    columns = found[["sample_id", "confidence", "p_label"]].to_dict("records")
    return [
        {str(name): value for name, value in row.items()} | {"labels": given, "predicted": new}
        for row, given, new in zip(columns, labels, predicted, strict=True)
    ]


def _with_targets(run: Run) -> pa.Table:
    """Return the predictions with the columns of `worst_mistakes`; a run of an older version has no TARGETS."""
    try:
        return run.predictions([*MISTAKE_COLUMNS, *TARGETS.values()])
    except StageError:
        return run.predictions(MISTAKE_COLUMNS)


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
