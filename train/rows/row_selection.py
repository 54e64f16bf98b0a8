"""Selection of a manifest's rows for training and validation, with the reason for every row left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import ManifestError
from data_manifests.schema import USABLE
from data_manifests.versions import Manifest
from pipeline.runs import TARGETS
from train.rows.head_labels import check_head, has_label, labels_of_rows, reason_without_label
from train.settings import DataSettings

COLUMNS = (
    "sample_id",
    "root",
    "path",
    "sha256",
    "person_id",
    "split",
    "fold",
    "class_id",
    "age",
    "is_synthetic",
    "landmarks_xy",
    "width_px",
    "height_px",
)


@dataclass(frozen=True)
class Selection:
    """Training rows and validation rows (of `rows_with_targets`), and the number of all rows by usage."""

    train: pa.Table
    val: pa.Table
    ledger: Mapping[str, int]


def select_rows(manifest: Manifest, settings: DataSettings, head: str = "class") -> Selection:
    """Select the rows to train on and to validate on: those with a label of one of the head's parts, at least.

    The column `split` of the parts is `train` and `val`, also where it follows from `data.fold` or `data.all_rows`.
    Raises ManifestError when either part is empty, or when no training row has a label of one of the head's parts.
    """
    ref = manifest.version.ref
    table = manifest.table
    if pc.count(table.column("split")).as_py() == 0:
        raise ManifestError(f"{ref} has no split. Run: facecurate split {ref}")
    if settings.fold is not None and settings.fold not in folds_of(manifest):
        raise ManifestError(
            f"{ref} has no fold {settings.fold}; its folds: {{{', '.join(map(str, folds_of(manifest)))}}}. "
            f"Run: facecurate split {ref} --folds 5"
        )
    usage = row_usage(table, settings)
    check_head(ref, labels_of_rows(table.filter(pa.array(usage == "train"))), head, manifest.cuts)
    usage = row_usage(table, settings, head)
    parts = {name: _part(table, usage == name, name) for name in ("train", "val")}
    for name, part in parts.items():
        if part.num_rows == 0 and not (name == "val" and settings.all_rows):
            ledger = ", ".join(f"{count} {name}" for name, count in _count(usage).items())
            raise ManifestError(
                f"{ref} has no usable row in the split {name!r} ({ledger}). Run: facecurate split {ref}"
            )
    if not settings.allow_shared_persons:
        _refuse_shared_persons(ref, parts["train"], parts["val"])
    return Selection(parts["train"], parts["val"], _count(usage))


def folds_of(manifest: Manifest) -> list[int]:
    """Return the folds of a manifest, 0 to K - 1; none without `split --folds`."""
    return sorted(set(pc.drop_null(manifest.table.column("fold")).to_pylist()))


def rows_with_targets(table: pa.Table) -> pa.Table:
    """Return COLUMNS of rows and their labels as codes in the columns TARGETS; class -1 where not all three are known.

    `table` needs COLUMNS, mask, gender and age_class.
    """
    rows = table.select(list(COLUMNS))
    index = rows.column_names.index("class_id")
    rows = rows.set_column(index, "class_id", pc.fill_null(rows["class_id"], -1))
    for name, codes in zip(TARGETS.values(), labels_of_rows(table).T, strict=True):
        rows = rows.append_column(name, pa.array(codes, pa.int8()))
    return rows


def _part(table: pa.Table, mask: np.ndarray, name: str) -> pa.Table:
    part = rows_with_targets(table.filter(pa.array(mask)))
    index = part.column_names.index("split")
    return part.set_column(index, "split", pa.array([name] * part.num_rows, pa.string()))


def row_usage(table: pa.Table, settings: DataSettings, head: str = "") -> np.ndarray:
    """Return the usage of each row, text (N,): `train`, `val`, or the first reason for leaving it out.

    Without a `head`, rows without labels are not left out.
    """
    status = np.asarray(table.column("status").to_pylist(), dtype=object)
    split = np.asarray(table.column("split").to_pylist(), dtype=object)
    if settings.fold is not None:
        fold = pc.fill_null(table.column("fold"), -1).to_numpy()
        by_fold = np.where(fold < 0, "without a fold", np.where(fold == settings.fold, "val", "train"))
        split = np.where(np.isin(split, ("train", "val")), by_fold, split)
    if settings.all_rows:
        split = np.where(split == "val", "train", split)
    synthetic = table.column("is_synthetic").to_numpy()
    usage = np.where(split == None, "without a split", split).astype(object)  # noqa: E711
    if not settings.synthetic_val:
        usage[(split == "val") & synthetic] = "synthetic in val"
    if head:
        usage[~has_label(labels_of_rows(table), head)] = reason_without_label(head)
    usable = np.isin(status.astype(str), USABLE)
    usage[~usable] = status[~usable]
    return usage


def _count(usage: np.ndarray) -> dict[str, int]:
    """Return the number of rows by usage, train and val first."""
    names, counts = np.unique(usage.astype(str), return_counts=True)
    found = dict(zip(names.tolist(), counts.tolist(), strict=True))
    return {name: found[name] for name in sorted(found, key=lambda name: (name not in ("train", "val"), name))}


def _refuse_shared_persons(ref: str, train: pa.Table, val: pa.Table) -> None:
    """Raise ManifestError if a person is in both parts: the network could recognise people instead of labels."""
    both = np.intersect1d(train.column("person_id").to_pylist(), val.column("person_id").to_pylist())
    if len(both):
        raise ManifestError(
            f"{ref}: {len(both)} persons are in both train and val, the first {str(both[0])!r}, which inflates every "
            f"score. Run: facecurate split {ref} (or set data.allow_shared_persons=true to measure it)"
        )


def absent_classes(selection: Selection, n_classes: int) -> dict[str, list[int]]:
    """Return the classes without rows in train and in val. Scores cover only the classes present in val."""
    return {
        name: sorted(set(range(n_classes)) - set(part.column("class_id").to_pylist()))
        for name, part in (("train", selection.train), ("val", selection.val))
    }
