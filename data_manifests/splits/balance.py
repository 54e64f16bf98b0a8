"""Balance of strata: the profiles that each has, its target, and the number to synthesise.

Photos are rarest where errors cost most: few people are over 60. Stage 1 raises each stratum to the size of the largest
with synthetic profiles, stage 2 to twice that. Only rows used for training count: usable rows of the split `train`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import ConfigError, ManifestError, must_be_one_of
from data_manifests.labels import UNKNOWN
from data_manifests.schema import BY_NAME, USABLE
from data_manifests.splits.strata import group_medians

UNITS = {"profile": "profile_id", "person": "person_id", "sample": "sample_id"}
STAGES = {1: 1, 2: 2}  # stage → times the largest stratum


def stratum_counts(table: pa.Table, by: Sequence[str] = ("age_class",), unit: str = "profile") -> pa.Table:
    """Return the units per stratum in the usable rows of `train`: columns `by`, `real`, `synthetic`, sorted by `by`.

    `unit` is profile (a set of seven shots), person or sample. A unit whose rows differ in a column of `by` counts
    once, under its median value; a unit without a value in some column of `by` is not counted. A unit with at least
    one photo is real. Raises ConfigError for an unknown unit or column.
    """
    if unit not in UNITS:
        raise ConfigError(must_be_one_of("unit", UNITS, unit))
    for name in by:
        if name not in BY_NAME or pa.types.is_nested(BY_NAME[name].type):
            raise ConfigError(
                f"a stratum must be made of label columns such as age_class, gender. Got {name!r} instead."
            )
    usable = pc.and_kleene(pc.equal(table["split"], "train"), pc.is_in(table["status"], pa.array(USABLE)))
    needed = table.select(list(dict.fromkeys([*by, UNITS[unit], "is_synthetic"]))).filter(usable)
    encoded = needed[UNITS[unit]].combine_chunks().dictionary_encode()
    group, units = encoded.indices.to_numpy(), len(encoded.dictionary)
    real_row = pc.invert(needed["is_synthetic"]).to_numpy(zero_copy_only=False)
    real = np.bincount(group[real_row], minlength=units) > 0
    columns = {name: _group_values(needed[name], group, units, real_row) for name in by}
    strata = pa.table({**columns, "real": real.astype(np.int64), "synthetic": (~real).astype(np.int64)}).drop_null()
    counts = strata.group_by(list(by)).aggregate([("real", "sum"), ("synthetic", "sum")])
    counts = counts.rename_columns([*by, "real", "synthetic"])
    return counts.sort_by([(name, "ascending") for name in by])


def _group_values(values: pa.ChunkedArray, group: np.ndarray, groups: int, prefer: np.ndarray) -> pa.Array:
    """Return the median value of each group, in sorted order of the values; null for a group without values."""
    ordered = pc.unique(values.drop_null())
    ordered = ordered.take(pc.sort_indices(ordered))
    position = pc.fill_null(pc.index_in(values, ordered).cast(pa.int64()), UNKNOWN).to_numpy()
    code = group_medians(position, group, groups, prefer)
    return ordered.take(pa.array(code, mask=code < 0))


def targets(counts: pa.Table, stage: int) -> pa.Table:
    """Add a column `target`: in stage 1 the real units of the largest stratum, in stage 2 twice that.

    Synthetic units do not raise the target, so a plan repeated after synthesis asks for nothing more. Raises
    ConfigError for an unknown stage.
    """
    if stage not in STAGES:
        raise ConfigError(must_be_one_of("stage", STAGES, stage))
    largest = pc.max(counts["real"]).as_py() or 0
    return counts.append_column("target", pa.array([largest * STAGES[stage]] * counts.num_rows, pa.int64()))


def shortfall(counts: pa.Table, stage: int) -> pa.Table:
    """Add the columns `target` and `missing`: the number of synthetic units that each stratum lacks, 0 or more."""
    planned = targets(counts, stage)
    have = pc.add(planned["real"], planned["synthetic"])
    return planned.append_column("missing", pc.max_element_wise(pc.subtract(planned["target"], have), 0))


def check_no_leak(table: pa.Table) -> None:
    """Check that every synthetic row is in the split of its person's photos.

    Training on an image made from a validation photo would leak the validation face into training. Raises
    ManifestError with the first rows that break the rule, also for a synthetic row whose person has no photo here.
    """
    rows = table.select(["sample_id", "person_id", "split", "is_synthetic"])
    rows = rows.set_column(2, "split", pc.fill_null(rows["split"], "no split"))
    synthetic, photos = rows.filter(rows["is_synthetic"]), rows.filter(pc.invert(rows["is_synthetic"]))
    known = photos.group_by(["person_id", "split"]).aggregate([])
    paired = synthetic.join(
        known.append_column("matches", pa.array([True] * len(known))), ["person_id", "split"], join_type="left outer"
    )
    leaks = paired.filter(pc.is_null(paired["matches"])).sort_by("sample_id")
    if leaks.num_rows:
        shown = ", ".join(
            f"{row['sample_id']} of {row['person_id']} in {row['split']}" for row in leaks.slice(0, 3).to_pylist()
        )
        raise ManifestError(
            f"a synthetic row must be in the split of its person's photos. Got {leaks.num_rows} rows in another split: "
            f"{shown}; copy person_id and split from the photo."
        )
