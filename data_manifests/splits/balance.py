"""How many profiles each stratum has, how many it should have, and how many are to be made.

Photos are rarest where errors cost most: few people over 60. Stage 1 raises each stratum to the largest one with
synthetic profiles, stage 2 doubles that. Counted are the rows that training will see: split `train`, with a picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import ConfigError, ManifestError, must_be_one_of
from data_manifests.schema import BY_NAME, USABLE
from data_manifests.splits.assign import settled

UNITS = {"profile": "profile_id", "person": "person_id", "sample": "sample_id"}
STAGES = {1: 1, 2: 2}  # stage → times the largest stratum


def stratum_counts(table: pa.Table, by: Sequence[str] = ("age_class",), unit: str = "profile") -> pa.Table:
    """Units per stratum in the usable rows of `train`: columns `by`, `real`, `synthetic`, in order of `by`.

    `unit` is profile (a set of seven shots), person or sample. A unit whose rows differ in a column of `by` counts
    once, under its median value; one without a value in some column of `by` counts nowhere. A person who has photos is
    real, whatever was made of them.
    """
    if unit not in UNITS:
        raise ConfigError(must_be_one_of("unit", UNITS, unit))
    for name in by:
        if name not in BY_NAME or pa.types.is_fixed_size_list(BY_NAME[name].type):
            raise ConfigError(f"a stratum is made of label columns such as age_class and gender. Got {name!r} instead.")
    usable = pc.and_kleene(pc.equal(table["split"], "train"), pc.is_in(table["status"], pa.array(USABLE)))
    needed = table.select(list(dict.fromkeys([*by, UNITS[unit], "is_synthetic"]))).filter(usable)
    encoded = needed[UNITS[unit]].combine_chunks().dictionary_encode()
    group, units = encoded.indices.to_numpy(), len(encoded.dictionary)
    real_row = pc.invert(needed["is_synthetic"]).to_numpy(zero_copy_only=False)
    real = np.bincount(group[real_row], minlength=units) > 0
    columns = {name: _settle(needed[name], group, units, real_row) for name in by}
    strata = pa.table({**columns, "real": real.astype(np.int64), "synthetic": (~real).astype(np.int64)}).drop_null()
    counts = strata.group_by(list(by)).aggregate([("real", "sum"), ("synthetic", "sum")])
    counts = counts.rename_columns([*by, "real", "synthetic"])
    return counts.sort_by([(name, "ascending") for name in by])


def _settle(values: pa.ChunkedArray, group: np.ndarray, groups: int, prefer: np.ndarray) -> pa.Array:
    words = pc.unique(values.drop_null())
    words = words.take(pc.sort_indices(words))
    code = settled(pc.index_in(values, words), group, groups, prefer)
    return words.take(pa.array(code, mask=code < 0))


def targets(counts: pa.Table, stage: int) -> pa.Table:
    """`counts` with a column `target`: stage 1 as many as the largest stratum has real ones, stage 2 twice that.

    Synthetic ones do not raise the target, so planning again after making them asks for nothing more.
    """
    if stage not in STAGES:
        raise ConfigError(must_be_one_of("stage", STAGES, stage))
    largest = pc.max(counts["real"]).as_py() or 0
    return counts.append_column("target", pa.array([largest * STAGES[stage]] * counts.num_rows, pa.int64()))


def shortfall(counts: pa.Table, stage: int) -> pa.Table:
    """`targets` with a column `missing`: how many synthetic units each stratum still lacks, 0 or more."""
    planned = targets(counts, stage)
    have = pc.add(planned["real"], planned["synthetic"])
    return planned.append_column("missing", pc.max_element_wise(pc.subtract(planned["target"], have), 0))


def check_no_leak(table: pa.Table) -> None:
    """Refuse a manifest in which a synthetic row stands in another split than its person's photos.

    A picture made from a validation photo and trained on shows the network the face that it will be examined with.
    Raises ManifestError naming the rows; also for a synthetic row whose person has no photo here.
    """
    part = table.select(["sample_id", "person_id", "split", "is_synthetic"])
    part = part.set_column(2, "split", pc.fill_null(part["split"], "no split"))
    made, photos = part.filter(part["is_synthetic"]), part.filter(pc.invert(part["is_synthetic"]))
    known = photos.group_by(["person_id", "split"]).aggregate([])
    paired = made.join(
        known.append_column("fine", pa.array([True] * len(known))), ["person_id", "split"], join_type="left outer"
    )
    leaks = paired.filter(pc.is_null(paired["fine"])).sort_by("sample_id")
    if leaks.num_rows:
        shown = ", ".join(
            f"{row['sample_id']} of {row['person_id']} in {row['split']}" for row in leaks.slice(0, 3).to_pylist()
        )
        raise ManifestError(
            f"{leaks.num_rows} synthetic rows stand in another split than their person's photos: {shown}. "
            "A synthetic row inherits person_id and split from the photo that it was made from."
        )
