"""Validation against the schema, and conversion to it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from data_manifests.errors import ManifestError
from data_manifests.schema import BY_NAME, COLUMNS, as_markdown, conform, null_column
from data_manifests.versions.validation import validate
from tests.support.manifest_tables import crop, manifest, photo


def with_values(name: str, values: list[object]) -> pa.Table:
    table = manifest([photo(f"p{i}") for i in range(len(values))])
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values, BY_NAME[name].type))


def test_a_valid_table_passes_and_one_invalid_value_is_refused() -> None:
    one = photo("a")
    sound = manifest([one, crop(one, box_xyxy=[1.0, 2.0, 3.0, 4.0], detection_score=0.5, x_race="b")])
    validate(sound)
    assert conform(sound).equals(sound)
    validate(sound.slice(0, 0))
    place = sound.column_names.index("detection_score")
    with pytest.raises(ManifestError, match=r"'detection_score' must be at most 1: row 1 1\.5"):
        validate(sound.set_column(place, "detection_score", pa.array([None, 1.5], pa.float32())))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("mask", ["worn", "wron", None], r"'mask' must be one of \{worn, incorrect, none\}: row 1 'wron' \(1 of 3"),
        ("gender", ["m", "male", "m"], r"'gender' must be one of \{male, female\}: row 0 'm', row 2 'm' \(2 of 3"),
        ("age", [0, 116, 117], r"column 'age' must be at most 116: row 2 117 \(1 of 3 rows\)"),
        ("age", [None, -1, 5], r"column 'age' must be at least 0: row 1 -1"),
        ("person_id", ["a", None, "b"], r"column 'person_id' must not be empty: row 1 None"),
        ("status", ["ok", "fine", "bad"], r"one of \{ok, fallback, failed, excluded\}: row 1 'fine', row 2 'bad'"),
        ("detection_score", [0.5, 1.5, None], r"'detection_score' must be at most 1: row 1 1\.5"),
        ("detection_score", [0.5, np.nan, None], r"'detection_score' must be a number: row 1 nan"),
        ("path", ["a/b", "/abs", "a/../b"], r"'path' must be relative, .*: row 1 '/abs', row 2 'a/\.\./b'"),
        ("path", ["C:/x", "a\\b", "..a/b.."], r"row 0 'C:/x', row 1 'a\\\\b' \(2 of 3"),
        ("sample_id", ["x", "y", "x"], r"'sample_id' must be unique: 'x' is in rows 0, 2 \(1 repeated ids\)"),
        ("sample_id", [f"{7:016x}", f"{8:016x}", f"{7:016x}"], r"'0{15}7' is in rows 0, 2"),
    ],
)  # fmt: skip
def test_invalid_values_are_refused(name: str, values: list[object], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        validate(with_values(name, values))


def test_many_bad_rows_are_counted_and_three_are_shown() -> None:
    with pytest.raises(ManifestError, match=r"row 0 200, row 1 200, row 2 200 \(50 of 50 rows\)"):
        validate(with_values("age", [200] * 50))


def test_conform_casts_orders_and_fills() -> None:
    loose = pa.table({"x_b": [1.5], "age": pa.array([30], pa.int64()), "sample_id": pa.array(["a"], pa.large_string())})
    table = conform(loose)
    assert table.column_names == [*(column.name for column in COLUMNS), "x_b"]
    assert all(table.schema.field(column.name).type == column.type for column in COLUMNS)
    assert table["landmarks_xy"].null_count == 1
    assert conform(table).equals(table)


def test_further_columns_may_have_any_text_type() -> None:
    layouts = [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
    tables = [conform(pa.table({"x_a": pa.array(["u", None, "v"]).cast(layout)})) for layout in layouts]
    for table in tables:
        assert table["x_a"].type == pa.string()
        assert table["x_a"].to_pylist() == ["u", None, "v"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pa.table({"race": ["a"]}), r"column 'race' is not in the manifest schema\. .* begin with 'x_'"),
        (pa.table({"age": ["old"]}), r"column 'age' must be int32: .*old"),
        (pa.table({"age": [1.5]}), r"column 'age' must be int32: .*truncated"),
        (pa.table([[1], [2]], ["age", "age"]), r"column names must be unique\. Got \{age\}"),
        (pa.table({"x_a": [[1, 2]]}), r"column 'x_a' must be text, numbers or booleans"),
        (pa.table({"box_xyxy": [[1.0, 2.0]]}), r"column 'box_xyxy' must be fixed_size_list"),
    ],
)
def test_tables_that_cannot_be_conformed(table: pa.Table, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        conform(table)


@pytest.mark.parametrize("rows", [0, 1, 8191, 8192, 8193, 30_000])
def test_a_null_column_has_its_rows_and_no_memory(rows: int) -> None:
    type_ = BY_NAME["landmarks_xy"].type
    column = null_column(rows, type_)
    assert (len(column), column.null_count, column.type) == (rows, rows, type_)
    addresses = {buffer.address for chunk in column.chunks for buffer in chunk.buffers() if buffer}
    assert len(addresses) <= 4  # every chunk is the same block


def test_the_page_lists_every_column() -> None:
    page = as_markdown()
    for column in COLUMNS:
        assert f"| `{column.name}` |" in page
        assert all(f"`{value}`" in page for value in column.allowed)
