"""The sample of images that mean images and colours are measured on: at most so many of each class, drawn with a seed.

A class is a combination of the labels that a version has: one of the 18 if rows have all three labels, else of fewer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.labels import N_LABELS, UNKNOWN, label_codes, labelled_tasks
from data_manifests.schema import USABLE


def class_tasks(table: pa.Table) -> tuple[str, ...]:
    """Return the tasks whose labels form the classes: those with labels, or the best labelled that occur together."""
    usable = table.filter(pc.is_in(table["status"], pa.array(USABLE)))
    codes = {task: label_codes(usable, task) for task in labelled_tasks(table)}
    while len(codes) > 1 and not np.all([known != UNKNOWN for known in codes.values()], axis=0).any():
        del codes[min(codes, key=lambda task: int((codes[task] != UNKNOWN).sum()))]
    return tuple(codes)


def draw_sample(
    table: pa.Table, tasks: Sequence[str], split: str, per_class: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return classes (n,) and row numbers (n,) of the sample, and the number of usable rows of each class (K + 1,)."""
    classes, known, n_classes = np.zeros(table.num_rows, np.int64), np.ones(table.num_rows, bool), 1
    for task in tasks:
        codes = label_codes(table, task)
        classes, known, n_classes = (
            classes * N_LABELS[task] + codes,
            known & (codes != UNKNOWN),
            n_classes * N_LABELS[task],
        )
    classes = np.where(known, classes, n_classes)
    wanted = pc.is_in(table["status"], pa.array(USABLE)).to_numpy()
    if split:
        wanted = wanted & pc.fill_null(pc.equal(table["split"], split), False).to_numpy()
    chosen = []
    for k in range(n_classes + 1):
        rows = np.flatnonzero((classes == k) & wanted)
        rng = np.random.default_rng((seed, k))  # the draw of a class does not depend on the size of another
        chosen.append(np.sort(rng.choice(rows, per_class, replace=False)) if len(rows) > per_class else rows)
    rows = np.concatenate(chosen)
    return classes[rows], rows, np.bincount(classes[wanted], minlength=n_classes + 1)
