"""Matching of rows between two tables, and the changes reported."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manifests.inspect.diff import FIELDS, diff
from data_manifests.schema import conform


def table(rows: list[dict[str, Any]]) -> pa.Table:
    """Return a table of rows with defaults: each photo is its own person."""
    full = [
        {
            "source_id": row["sample_id"],
            "root": "r",
            "path": f"{row['sample_id']}.jpg",
            "sha256": row["sample_id"] * 4,
            "person_id": row["sample_id"],
            "profile_id": row["sample_id"],
            "mask": "none",
            "gender": "male",
            "age": 30,
            "status": "ok",
            "is_synthetic": False,
            "split": None,
            "shot": None,
        }
        | row
        for row in rows
    ]
    return conform(pa.Table.from_pylist(full) if full else table([{"sample_id": "x"}]).slice(0, 0))


def ids(count: int) -> list[dict[str, Any]]:
    return [{"sample_id": f"{number:016x}"} for number in range(count)]


def test_equal_tables_in_another_order_have_no_difference() -> None:
    a = table(ids(5))
    found = diff(a, a.take([3, 1, 0, 4, 2]))
    assert not found
    assert found.lines() == ["no row, label, split or image differs"]


def test_each_kind_of_change_is_reported_once() -> None:
    rows = ids(6)
    a = table(rows)
    b = table(
        [
            rows[0] | {"gender": "female", "mask": "worn"},
            rows[1] | {"age": None},
            rows[2] | {"split": "train", "status": "excluded"},
            rows[3] | {"path": "elsewhere.jpg"},
            rows[4],
            {"sample_id": "f" * 16},
        ]
    )
    found = diff(a, b)
    assert found
    assert found.added.tolist() == [5]
    assert found.removed.tolist() == [5]
    counts = {name: len(found.changed[name][0]) for name in FIELDS if len(found.changed[name][0])}
    assert counts == {"mask": 1, "gender": 1, "age": 1, "split": 1, "status": 1}
    assert found.changes("age").to_pylist() == [
        {
            "sample_id": "0" * 15 + "1",
            "person_id": "0" * 15 + "1",
            "path": "0000000000000001.jpg",
            "old": 30,
            "new": None,
        }
    ]
    text = "\n".join(found.lines())
    assert "6 → 6: 1 added, 1 removed" in text
    assert "gender     1 changed: male → female (1)" in text
    assert "age        1 changed: 30 → empty (1)" in text
    assert "split      1 changed: empty → train (1)" in text


def test_a_crop_matches_its_photo_and_synthetic_shots_are_new() -> None:
    photos = [row | {"shot": "normal"} for row in ids(3)]
    crops = [
        row | {"sample_id": f"c{row['sample_id'][1:]}", "source_id": row["sample_id"], "profile_id": row["sample_id"]}
        for row in photos
    ]
    crops[0]["gender"] = "female"
    masked = [crops[0] | {"sample_id": "d" * 16, "shot": "mask1"}]
    other_profile = [crops[0] | {"sample_id": "e" * 16, "profile_id": "p/s1"}]
    found = diff(table(photos), table([*crops, *masked, *other_profile]))
    assert found.removed.tolist() == []
    assert found.added.tolist() == [3, 4]
    assert len(found.changed["sha256"][0]) == 3
    assert found.changes("gender")["old"].to_pylist() == ["male"]


def test_two_crops_of_one_photo_are_not_matched() -> None:
    photo = ids(1)[0]
    crops = [
        {"sample_id": letter * 16, "source_id": photo["sample_id"], "profile_id": photo["sample_id"]} for letter in "cd"
    ]
    found = diff(table([photo]), table(crops))
    assert (len(found.added), len(found.removed)) == (2, 1)
    found = diff(table(crops), table([photo]))
    assert (len(found.added), len(found.removed)) == (1, 2)


def test_a_photo_that_was_replaced_on_disk_has_changed_bytes() -> None:
    a = table([{"sample_id": "a" * 16, "path": "p.jpg"}])
    b = table([{"sample_id": "b" * 16, "path": "p.jpg"}])
    found = diff(a, b)
    assert (len(found.added), len(found.removed), len(found.changed["sha256"][0])) == (0, 0, 1)
    assert found.lines() == [
        "rows       1 → 1: 0 added, 0 removed",
        "person_id  1 changed: aaaaaaaaaaaaaaaa → bbbbbbbbbbbbbbbb (1)",
        "bytes      1 changed",
    ]


def test_examples_are_few_and_the_rest_is_counted() -> None:
    a = table(ids(20))
    b = table([row | {"age": 40 + number} for number, row in enumerate(ids(20))])
    lines = diff(a, b).lines(examples=2)
    assert lines[1].endswith("14 more")
    assert lines[-1].strip() == "… and 18 more"
    assert len(lines) == 5


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "sample_id": st.integers(0, 12).map(lambda number: f"{number:016x}"),
            "gender": st.sampled_from(["male", "female", None]),
            "split": st.sampled_from(["train", "val", None]),
        }
    ),
    max_size=10,
    unique_by=lambda row: row["sample_id"],
)


@settings(deadline=None)
@given(ROWS, ROWS)
def test_the_counts_agree_with_a_plain_loop(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> None:
    found = diff(table(old), table(new))
    before = {row["sample_id"]: row for row in old}
    after = {row["sample_id"]: row for row in new}
    assert {new[i]["sample_id"] for i in found.added} == after.keys() - before.keys()
    assert {old[i]["sample_id"] for i in found.removed} == before.keys() - after.keys()
    for name in ("gender", "split"):
        expected = {key for key in before.keys() & after.keys() if before[key][name] != after[key][name]}
        assert set(found.changes(name)["sample_id"].to_pylist()) == expected
    assert bool(found) == (sorted(map(str, old)) != sorted(map(str, new)))


@settings(deadline=None, max_examples=30)
@given(ROWS, st.randoms(use_true_random=False))
def test_diff_with_itself_is_empty_in_any_order(rows: list[dict[str, Any]], random: Any) -> None:
    a = table(rows)
    order = np.array(random.sample(range(a.num_rows), a.num_rows), dtype=np.int64)
    assert not diff(a, a.take(order))


def test_columns_added_by_an_audit_are_listed() -> None:
    old = table(ids(2))
    new = table([row | {"audit_rank": rank} for rank, row in enumerate(ids(2))])
    assert diff(old, new).lines() == ["no row, label, split or image differs", "columns    added: audit_rank"]
    assert diff(new, old).lines()[-1] == "columns    removed: audit_rank"
