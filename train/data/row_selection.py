"""Which rows of a manifest a run trains on, which it is judged by, and where all the others went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import ManifestError
from data_manifests.schema import USABLE
from data_manifests.versions import Manifest
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
    """Rows to train on and rows to be judged by (with COLUMNS), and the count of every row by what became of it."""

    train: pa.Table
    val: pa.Table
    ledger: Mapping[str, int]


def select_rows(manifest: Manifest, settings: DataSettings) -> Selection:
    """Sort the rows of a manifest. Raises ManifestError when there is nothing to train on or to be judged by.

    The column `split` of the two parts says `train` and `val`, whatever folds or `all_rows` made of it.
    """
    ref = manifest.version.ref
    table = manifest.table
    if pc.count(table.column("split")).as_py() == 0:
        raise ManifestError(f"{ref} has no split. Run: python -m data_manifests split {ref}")
    if settings.fold is not None and settings.fold not in folds_of(manifest):
        raise ManifestError(
            f"{ref} has no fold {settings.fold}; its folds: {{{', '.join(map(str, folds_of(manifest)))}}}. "
            f"Run: python -m data_manifests split {ref} --folds 5"
        )
    fates = fates_of(table, settings)
    parts = {name: _part(table, fates == name, name) for name in ("train", "val")}
    for name, part in parts.items():
        if part.num_rows == 0 and not (name == "val" and settings.all_rows):
            ledger = ", ".join(f"{count} {fate}" for fate, count in _count(fates).items())
            raise ManifestError(
                f"{ref} has no usable row in the split {name!r} ({ledger}). Run: python -m data_manifests split {ref}"
            )
    if not settings.allow_shared_persons:
        _refuse_shared_persons(ref, parts["train"], parts["val"])
    return Selection(parts["train"], parts["val"], _count(fates))


def folds_of(manifest: Manifest) -> list[int]:
    """The folds that a manifest's people were dealt into, 0 to K - 1; none without `split --folds`."""
    return sorted(set(pc.drop_null(manifest.table.column("fold")).to_pylist()))


def _part(table: pa.Table, mask: np.ndarray, name: str) -> pa.Table:
    part = table.select(list(COLUMNS)).filter(pa.array(mask))
    place = part.column_names.index("split")
    return part.set_column(place, "split", pa.array([name] * part.num_rows, pa.string()))


def fates_of(table: pa.Table, settings: DataSettings) -> np.ndarray:
    """What becomes of each row: `train`, `val`, or the first reason why it is left out. Text (N,)."""
    status = np.asarray(table.column("status").to_pylist(), dtype=object)
    split = np.asarray(table.column("split").to_pylist(), dtype=object)
    if settings.fold is not None:
        fold = pc.fill_null(table.column("fold"), -1).to_numpy()
        dealt = np.where(fold < 0, "without a fold", np.where(fold == settings.fold, "val", "train"))
        split = np.where(np.isin(split, ("train", "val")), dealt, split)
    if settings.all_rows:
        split = np.where(split == "val", "train", split)
    unlabelled = pc.is_null(table.column("class_id")).to_numpy()
    synthetic = table.column("is_synthetic").to_numpy()
    fates = np.where(split == None, "without a split", split).astype(object)  # noqa: E711
    if not settings.synthetic_val:
        fates[(split == "val") & synthetic] = "synthetic in val"
    fates[unlabelled] = "without a full label"
    usable = np.isin(status.astype(str), USABLE)
    fates[~usable] = status[~usable]
    return fates


def _count(fates: np.ndarray) -> dict[str, int]:
    """Counts, train and val first."""
    names, counts = np.unique(fates.astype(str), return_counts=True)
    found = dict(zip(names.tolist(), counts.tolist(), strict=True))
    return {name: found[name] for name in sorted(found, key=lambda name: (name not in ("train", "val"), name))}


def _refuse_shared_persons(ref: str, train: pa.Table, val: pa.Table) -> None:
    """A person on both sides would be recognised rather than judged."""
    both = np.intersect1d(train.column("person_id").to_pylist(), val.column("person_id").to_pylist())
    if len(both):
        raise ManifestError(
            f"{ref}: {len(both)} persons stand in train and in val, the first {str(both[0])!r}, which inflates every "
            f"score. Run: python -m data_manifests split {ref} (data.allow_shared_persons=true shows the leak)"
        )


def absent_classes(selection: Selection, n_classes: int) -> dict[str, list[int]]:
    """Classes without a row, in train and in val. Scores can only be taken over those present in val."""
    return {
        name: sorted(set(range(n_classes)) - set(part.column("class_id").to_pylist()))
        for name, part in (("train", selection.train), ("val", selection.val))
    }
