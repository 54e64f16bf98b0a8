"""People keep their split from one version to the next, also when the photos were read in again."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.schema import BY_NAME, null_column
from data_manifests.versions import Store, Version

_COLUMNS = ("split", "fold")


def newest_with_splits(store: Store, before: Version) -> Version | None:
    """The newest version of the same manifest, older than `before`, in which anybody has a split."""
    for version in reversed(store.log(before.name)):
        if version.number < before.number:
            column = store.read(version.ref, ["split"]).table.column("split")
            if column.null_count < len(column):
                return version
    return None


def keep_splits(table: pa.Table, earlier: pa.Table) -> pa.Table:
    """Give rows without a split or fold the one that their person has in an earlier table."""
    for name in _COLUMNS:
        known = earlier.filter(pc.is_valid(earlier.column(name)))
        at = pc.index_in(table.column("person_id"), known.column("person_id"))
        values = pc.coalesce(table.column(name), known.column(name).take(at))
        table = table.set_column(table.column_names.index(name), name, values)
    return table


def without_splits(table: pa.Table) -> pa.Table:
    """The table with nobody in a split or fold."""
    for name in _COLUMNS:
        empty = null_column(table.num_rows, BY_NAME[name].type)
        table = table.set_column(table.column_names.index(name), name, empty)
    return table


def count_people(table: pa.Table) -> int:
    """How many people have a split."""
    return pc.count_distinct(table.column("person_id").filter(pc.is_valid(table.column("split")))).as_py()
