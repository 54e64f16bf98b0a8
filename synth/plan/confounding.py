"""Warnings of plans whose masks tell the other labels, measured on the train rows and the planned images.

Masks that are drawn on one age class alone make mask and age the same thing: a network that sees a mask answers "old".
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.labels import TASK_COLUMN, label_names
from data_manifests.schema import USABLE
from data_manifests.taxonomy import MASKS, AgeCuts, age_class_of

MAX_SPREAD = 0.1  # of a mask's share among the labels of another task; whole profiles differ by a few failed images
_LABELS = ["sample_id", "mask", "gender", "age_class"]


def mask_notes(table: pa.Table, plan: pd.DataFrame, cuts: AgeCuts) -> Iterator[str]:
    """Yield a warning for each task that masks tell after `plan`, and a note if validation lacks a planned mask."""
    if plan.empty:
        return
    usable = table.filter(pc.is_in(table["status"], pa.array(USABLE)))
    made = planned_labels(table, plan, cuts)
    train = usable.filter(pc.equal(usable["split"], "train")).select(_LABELS).to_pandas()
    after = pd.concat([train, made])
    for task in ("gender", "age"):
        counts = pd.crosstab(after[TASK_COLUMN[task]], after["mask"])
        if task == "age":
            counts.index = pd.Index([label_names(task, cuts)[int(age_class)] for age_class in counts.index])
        yield from _warning(task, counts)
    seen = set(usable.filter(pc.equal(usable["split"], "val"))["mask"].to_pylist())
    unseen = [mask for mask in MASKS if mask in set(made["mask"]) - seen]
    if unseen and seen - {None}:
        yield (
            f"no validation photo is labelled mask {' or '.join(unseen)}: what the drawn masks teach cannot be measured"
        )


def planned_labels(table: pa.Table, plan: pd.DataFrame, cuts: AgeCuts) -> pd.DataFrame:
    """Return mask, gender and age_class of each planned image: its mask, and the labels of its photo or moved age."""
    photos = table.select(_LABELS).to_pandas().set_index("sample_id")
    labels = photos[["gender", "age_class"]].reindex(plan["parent_id"]).reset_index(drop=True)
    moved = plan["to_age"].notna().to_numpy()
    if moved.any():
        ages = age_class_of(pa.array(plan["to_age"][moved].astype(int).to_numpy(), pa.int32()), cuts)
        labels.loc[moved, "age_class"] = np.asarray(ages)
    wear = plan["wear"].to_numpy()
    return labels.assign(mask=np.where(wear == "", "none", np.where(wear == "worn", "worn", "incorrect")))


def _warning(task: str, counts: pd.DataFrame) -> Iterator[str]:
    """Yield a warning if the share of a mask among the labels (rows of `counts`) differs by more than MAX_SPREAD."""
    if len(counts) < 2:
        return
    shares = counts.div(counts.sum(axis=1), axis=0)
    spread = shares.max() - shares.min()
    mask = str(spread.idxmax())
    if spread[mask] <= MAX_SPREAD:
        return
    text = ", ".join(f"{share:.0%} of {label}" for label, share in shares[mask].items())
    yield (
        f"warning: after this plan the mask tells the {task}: mask {mask} is {text}. A network can learn one from the "
        f"other; balance them with synth.targets, or leave the set as it is"
    )
