"""Two published treatments of the ages just below the old class, where labels and faces agree least.

`exclude`   leaves the ages out of training: without 57, 58 and 59 the model learns from clear cases on either side of
            the cut. Validation and test keep them, because without them the task would be easier than the real one.
`relabel`   moves the cut: with 58 and 59 the old class begins at 58. A row's age class follows from its age and its
            version's cuts, so the new cut holds for every split. To score such a model against the original cut,
            evaluate it on the parent version.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import ConfigError, ManifestError, must_be_one_of
from data_manifests.schema import SPLITS, USABLE
from data_manifests.taxonomy import MAX_AGE, MIN_AGE, AgeCuts, age_class_of, class_id_of

POLICIES = ("exclude", "relabel")


def parse_ages(text: str) -> tuple[int, ...]:
    """Return (57, 58, 59) for "57,58,59" or "57-59". Raises ConfigError."""
    ages: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match is None:
            raise ConfigError(f"ages must be written as 57,58,59 or 57-59. Got {text!r} instead.")
        first, last = int(match[1]), int(match[2] or match[1])
        if not MIN_AGE <= first <= last <= MAX_AGE:
            raise ConfigError(f"ages must be from {MIN_AGE} to {MAX_AGE}, the lower first. Got {text!r} instead.")
        ages.update(range(first, last + 1))
    return tuple(sorted(ages))


def drop_ages(table: pa.Table, ages: Sequence[int], splits: Sequence[str] = ("train",)) -> pa.Table:
    """Set `status` to excluded, with a reason, in the usable rows of these ages and splits. Nothing is deleted.

    Raises ConfigError for an unknown split and ManifestError if the manifest has not been split.
    """
    check_splits(table, splits)
    chosen = pc.is_in(table.column("age"), pa.array(ages, table.schema.field("age").type))
    if set(splits) != set(SPLITS):
        chosen = pc.and_(chosen, pc.is_in(table.column("split"), pa.array(splits)))
    chosen = pc.fill_null(pc.and_(chosen, pc.is_in(table.column("status"), pa.array(USABLE))), False)
    before = table.column("reason")
    remark = pc.binary_join_element_wise("drop-ages: age", pc.cast(table.column("age"), pa.string()), " ")
    # pyarrow's null_handling="skip" drops rows in which all parts are null
    reason = pc.if_else(pc.is_valid(before), pc.binary_join_element_wise(before, remark, "; "), remark)
    return _with(
        table,
        status=pc.if_else(chosen, "excluded", table.column("status")),
        reason=pc.if_else(chosen, reason, table.column("reason")),
    )


def check_splits(table: pa.Table, splits: Sequence[str]) -> None:
    """Raise ConfigError for an unknown split, and ManifestError if some splits are asked for and no row has one."""
    for split in splits:
        if split not in SPLITS:
            raise ConfigError(must_be_one_of("split", SPLITS, split))
    if set(splits) != set(SPLITS) and table.num_rows and table.column("split").null_count == table.num_rows:
        raise ManifestError(
            f"no row has a split, so no age can be left out of {{{', '.join(splits)}}}. "
            "Run first: facecurate split REF, or keep the ages: drop_ages.ages="
        )


def relabel_ages(table: pa.Table, ages: Sequence[int], cuts: AgeCuts) -> tuple[pa.Table, AgeCuts]:
    """Move these ages into the old class; return the table with new `age_class` and `class_id`, and the new cuts.

    Raises ConfigError unless the ages are consecutive and end just below the present cut: no other set of ages can be
    described by a cut.
    """
    wanted = range(min(ages), cuts.old)
    if sorted(set(ages)) != list(wanted) or min(ages) <= cuts.middle:
        raise ConfigError(
            f"policy relabel moves the old class's first age down from {cuts.old}: the ages must be consecutive "
            f"up to {cuts.old - 1} and above {cuts.middle}, such as {cuts.old - 2},{cuts.old - 1}. "
            f"Got {','.join(map(str, ages))} instead."
        )
    moved = AgeCuts(cuts.middle, min(ages))
    age_class = age_class_of(table.column("age"), moved)
    class_id = class_id_of(table.column("mask"), table.column("gender"), age_class)
    return _with(table, age_class=age_class, class_id=class_id), moved


def _with(table: pa.Table, **columns: pa.ChunkedArray) -> pa.Table:
    for name, values in columns.items():
        position = table.column_names.index(name)
        table = table.set_column(position, table.schema.field(name), values)
    return table
