"""Which tasks a table has labels for."""

from __future__ import annotations

import pyarrow as pa
import pytest

from data_manifests.errors import ManifestError
from data_manifests.labels import UNKNOWN, has_all_tasks, label_codes, label_names, labelled_tasks, missing_labels_text
from data_manifests.taxonomy import AgeCuts


def table_of(**columns: list[object]) -> pa.Table:
    rows = len(next(iter(columns.values())))
    types = {"status": pa.string(), "mask": pa.string(), "gender": pa.string(), "age_class": pa.int8()}
    given = {"status": ["ok"] * rows, **columns}
    return pa.table({name: pa.array(given.get(name, [None] * rows), type_) for name, type_ in types.items()})


def test_labels_of_failed_rows_do_not_make_a_task() -> None:
    table = table_of(status=["ok", "fallback", "failed"], mask=["worn", None, "none"], gender=[None, None, "male"])
    assert labelled_tasks(table) == ("mask",)


def test_all_tasks_need_one_row_that_has_all_three() -> None:
    parts = table_of(mask=["worn", None], gender=[None, "male"], age_class=[None, 1])
    assert labelled_tasks(parts) == ("mask", "gender", "age")
    assert not has_all_tasks(parts)
    assert has_all_tasks(table_of(mask=["worn", None], gender=["female", None], age_class=[2, 1]))


def test_codes_are_positions_in_the_names_and_unknown_is_minus_one() -> None:
    table = table_of(mask=["none", None, "worn"], age_class=[2, 0, None])
    assert label_codes(table, "mask").tolist() == [2, UNKNOWN, 0]
    assert label_codes(table, "age").tolist() == [2, 0, UNKNOWN]
    assert label_codes(table, "gender").tolist() == [UNKNOWN] * 3
    assert label_names("age", AgeCuts(45, 60)) == ("<45", "45-59", ">=60")


def test_another_task_is_refused() -> None:
    with pytest.raises(ManifestError, match="task must be one of"):
        label_names("race", AgeCuts())


def test_missing_labels_are_counted_by_combination() -> None:
    table = table_of(
        status=["ok", "ok", "fallback", "failed", "ok"],
        mask=["worn", "none", None, None, "worn"],
        gender=["male", None, None, None, "female"],
        age_class=[None, None, 1, None, 2],
    )
    assert (
        missing_labels_text(table)
        == "1 row has no age, 1 row has no gender and no age, 1 row has no mask and no gender"
    )
    assert missing_labels_text(table, ("gender",)) == "2 rows have no gender"
    assert missing_labels_text(table.slice(4)) == ""
