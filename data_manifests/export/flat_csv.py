"""Export format `csv`: all rows and columns of a version as one flat CSV."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from data_manifests.files import harmless
from data_manifests.labels import missing_labels_text
from data_manifests.taxonomy import class_names
from data_manifests.versions import Manifest, Store


def write_csv(store: Store, manifest: Manifest, folder: Path, link: bool) -> tuple[dict[str, int], list[str]]:
    """Write `folder/labels.csv` with all rows and columns, and the name of each class in `class_name`.

    Lists of numbers become text with spaces, lists of text with `; `. No row is left out; a note states how many have
    no class because a label is unknown.
    """
    table = manifest.table
    names = pa.array(class_names(manifest.cuts))
    at = table.column_names.index("class_id") + 1
    table = table.add_column(at, "class_name", names.take(table.column("class_id").combine_chunks()))
    for index, column in enumerate(table.schema):
        if pa.types.is_fixed_size_list(column.type) or pa.types.is_list(column.type):
            table = table.set_column(index, column.name, _as_text(table.column(index)))
        elif pa.types.is_string(column.type):
            table = table.set_column(index, column.name, _harmless(table.column(index)))
    pa_csv.write_csv(table, folder / "labels.csv")
    missing = missing_labels_text(manifest.table)
    return {}, [f"class_id and class_name are empty where a label is unknown: {missing}"] if missing else []


def _harmless(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return texts as `files.harmless` makes them; a column without such a text as it is."""
    begins = pc.match_substring_regex(values, r"^'*[=+@\t\r-]")
    if not pc.any(begins, min_count=0).as_py():
        return values
    return pa.chunked_array([pa.array([harmless(text) for text in values.to_pylist()], pa.string())])


def _as_text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return lists of numbers as "1.5 2 3" and lists of text as "a; b"."""
    separator = "; " if pa.types.is_string(values.type.value_type) else " "
    return pc.binary_join(values.cast(pa.list_(values.type.value_type)).cast(pa.list_(pa.string())), separator)
