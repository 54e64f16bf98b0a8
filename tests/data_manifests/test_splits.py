"""Splits: one per person, shares met in every stratum, and existing assignments kept."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manifests.errors import ConfigError, ManifestError
from data_manifests.splits.assign import assign_splits
from tests.support.manifest_tables import crop, manifest, photo, synthetic

AGES = {0: 20, 1: 40, 2: 70}
RATIOS = [
    {"train": 0.8, "val": 0.2}, {"train": 0.95, "val": 0.05}, {"train": 1.0}, {"val": 0.5, "train": 0.5},
    {"train": 0.7, "val": 0.2, "test": 0.1}, {"train": 0.8, "val": 0.1, "test": 0.1},
    {"train": 0.6, "val": 0.4, "test": 0},
]  # fmt: skip
PEOPLE = st.lists(
    st.tuples(st.sampled_from(["male", "female"]), st.sampled_from([0, 1, 2]), st.integers(1, 3)), max_size=60
)


def rows_of(people: list[tuple[str, int, int]], first: int = 0) -> list[dict[str, Any]]:
    """Return the rows of people given as (gender, age class, number of photos)."""
    shots = ("normal", "mask1", "mask2")
    return [
        photo(f"p{first + i:04d}", shots[shot], gender=gender, age=AGES[age_class])
        for i, (gender, age_class, photos) in enumerate(people)
        for shot in range(photos)
    ]


def by_person(table: pa.Table, name: str = "split") -> dict[str, Any]:
    """Return the value of each person. Fails if a person has two."""
    pairs = set(zip(table["person_id"].to_pylist(), table[name].to_pylist(), strict=True))
    assert len(dict(pairs)) == len(pairs), "a person has two values"
    return dict(pairs)


def strata(table: pa.Table) -> dict[str, tuple[Any, ...]]:
    return {row["person_id"]: (row["gender"], row["age_class"]) for row in table.to_pylist()}


def assert_exact(table: pa.Table, name: str, shares: dict[Any, float]) -> None:
    """Assert that the counts of every stratum are its shares rounded down or up, and the totals within one person."""
    stratum, value = strata(table), by_person(table, name)
    sizes, counts = Counter(stratum.values()), Counter((stratum[person], value[person]) for person in value)
    for (where, size), (what, share) in ((a, b) for a in sizes.items() for b in shares.items()):
        low, high = math.floor(share * size + 1e-9), math.ceil(share * size - 1e-9)
        assert low <= counts[where, what] <= high, (where, what, counts)
    for what, share in shares.items():
        assert abs(sum(value[person] == what for person in value) - share * len(value)) < 2


@settings(deadline=None, max_examples=80)
@given(people=PEOPLE, ratios=st.sampled_from(RATIOS), seed=st.integers(0, 3), data=st.data())
def test_splits_are_disjoint_exact_and_independent_of_row_order(
    people: list[tuple[str, int, int]], ratios: dict[str, float], seed: int, data: st.DataObject
) -> None:
    rows = rows_of(people) or [photo("only")]
    table = assign_splits(manifest(rows), ratios=ratios, seed=seed)
    assert_exact(table, "split", {name: ratios.get(name, 0) for name in ("train", "val", "test")})
    shuffled = assign_splits(manifest(data.draw(st.permutations(rows))), ratios=ratios, seed=seed)
    assert by_person(shuffled) == by_person(table)
    assert assign_splits(table, ratios=ratios, seed=seed + 1).equals(table), "everyone has a split: nothing to assign"


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(waves=st.lists(PEOPLE, min_size=2, max_size=4), ratios=st.sampled_from(RATIOS), seed=st.integers(0, 3))
def test_added_people_change_no_assignment(
    waves: list[list[tuple[str, int, int]]], ratios: dict[str, float], seed: int
) -> None:
    known: dict[str, str] = {}
    rows: list[dict[str, Any]] = [photo("first")]
    for number, people in enumerate(waves):
        rows = [row | {"split": known.get(row["person_id"])} for row in rows + rows_of(people, 1000 * number)]
        table = assign_splits(manifest(rows), ratios=ratios, seed=seed + number)
        now = by_person(table)
        assert {person: now[person] for person in known} == known
        assert None not in now.values()
        # after every wave, each stratum is within one person of its shares
        sizes = Counter(strata(table).values())
        counts = Counter((strata(table)[person], split) for person, split in now.items())
        for where, size in sizes.items():
            assert all(abs(counts[where, name] - share * size) < 1 for name, share in ratios.items())
        known = now


@settings(deadline=None, max_examples=40)
@given(people=PEOPLE, more=PEOPLE, folds=st.integers(2, 6))
def test_folds(people: list[tuple[str, int, int]], more: list[tuple[str, int, int]], folds: int) -> None:
    rows = [photo("first"), *rows_of(people)]
    if 1 + len(people) < folds:
        rows += rows_of([("female", 2, 1)] * folds, 5000)
    table = assign_splits(manifest(rows), ratios={"train": 1.0}, folds=folds)
    assert_exact(table, "fold", dict.fromkeys(range(folds), 1 / folds))
    known = by_person(table, "fold")
    grown = [row | {"fold": known.get(row["person_id"])} for row in rows + rows_of(more, 1000)]
    after = by_person(assign_splits(manifest(grown), ratios={"train": 1.0}, folds=folds), "fold")
    assert {person: after[person] for person in known} == known
    assert set(after.values()) <= set(range(folds))


def test_test_people_are_in_no_fold() -> None:
    table = assign_splits(manifest(rows_of([("male", 0, 2)] * 10)), ratios={"train": 0.5, "test": 0.5}, folds=5)
    splits, folds = by_person(table), by_person(table, "fold")
    assert all((folds[person] is None) == (split == "test") for person, split in splits.items())
    assert sorted(fold for fold in folds.values() if fold is not None) == [0, 1, 2, 3, 4]


def test_without_folds_the_column_is_left_alone() -> None:
    table = manifest([photo("a", fold=3), photo("b")])
    assert assign_splits(table)["fold"].to_pylist() == [3, None]


def test_the_seed_decides_and_the_shares_hold_overall() -> None:
    table = manifest(rows_of([("male", i % 3, 1) for i in range(100)] + [("female", i % 3, 1) for i in range(7)]))
    by_seed = {seed: by_person(assign_splits(table, seed=seed)) for seed in range(3)}
    assert by_seed[0] != by_seed[1] != by_seed[2]
    assert all(list(splits.values()).count("val") in (21, 22) for splits in by_seed.values())


def test_small_strata_do_not_all_round_the_same_way() -> None:
    """In six strata of four, 0.8 of each is 3.2, but 5 of 24 people should be in val, not 6."""
    people = [(gender, age_class, 1) for gender in ("male", "female") for age_class in range(3)] * 4
    splits = by_person(assign_splits(manifest(rows_of(people))))
    assert list(splits.values()).count("val") == 5


def test_different_labels_of_one_person_and_synthetic_images() -> None:
    person = photo("p", age=20)
    rows = [person, photo("p", "mask1", age=20), photo("p", "mask2", age=70), crop(person), synthetic(person, age=70)]
    table = assign_splits(manifest(rows + rows_of([("male", 0, 1)] * 3)), ratios={"train": 0.5, "val": 0.5})
    assert len(set(table["split"].to_pylist()[:5])) == 1
    # Age class 0 by majority of the photos: four people in one stratum, so two and two.
    assert list(by_person(table).values()).count("val") == 2


def test_a_new_row_of_a_known_person_gets_their_split() -> None:
    table = assign_splits(manifest([photo("p", split="val"), photo("p", "mask1"), photo("q")]), ratios={"train": 1.0})
    assert table["split"].to_pylist() == ["val", "val", "train"]


def test_people_without_labels_are_assigned_too() -> None:
    rows = [photo(f"p{i}", gender=None, age=None) for i in range(10)]
    assert list(by_person(assign_splits(manifest(rows))).values()).count("val") == 2


def test_a_split_above_its_share_gets_no_new_people() -> None:
    rows = [photo(f"old{i}", split="val") for i in range(5)] + [photo(f"new{i}") for i in range(5)]
    table = assign_splits(manifest(rows))
    assert [row["split"] for row in table.to_pylist() if row["person_id"].startswith("new")] == ["train"] * 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratios": {"train": 0.8, "dev": 0.2}}, r"a split must be one of \{train, val, test\}\. Got 'dev' instead"),
        ({"ratios": {"train": 0.8, "val": 0.1}}, r"shares of the splits must add up to 1\. Got 0\.9 instead"),
        ({"ratios": {"train": 1.2, "val": -0.2}}, r"share of train must be within 0 and 1\. Got 1\.2"),
        ({"folds": 1}, r"folds must be within 2 and 100\. Got 1 instead"),
    ],
)
def test_settings_that_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        assign_splits(manifest([photo("a")]), **options)


def test_a_person_in_two_splits_or_folds_is_refused() -> None:
    rows = [photo("a", split="train", fold=0), photo("a", "mask1", split="val", fold=1)]
    cause = r"1 person has photos in two splits, such as 'a' in train and val: .* facecurate split faces@3 --reassign$"
    with pytest.raises(ManifestError, match=cause):
        assign_splits(manifest(rows), ref="faces@3")
    with pytest.raises(ManifestError, match=r"photos in two folds, such as 'a' in 0 and 1: "):
        assign_splits(manifest([row | {"split": "train"} for row in rows]), folds=3)
    again = r"folds must be more than 4, .* Got 3 instead; assign all again: facecurate split f@1 --folds 3 --reassign"
    with pytest.raises(ManifestError, match=again):
        assign_splits(manifest([photo("a", fold=4)]), folds=3, ref="f@1")


@pytest.mark.parametrize(
    ("people", "folds", "message"),
    [
        (3, 4, r"folds must be within 2 and 3, the number of people outside test\. Got 4 instead\. "
               r"Run: facecurate split f@1 --folds 3$"),
        (1, 2, r"folds need at least 2 people outside test\. Got 1 instead; leave out --folds\.$"),
    ],
)  # fmt: skip
def test_more_folds_than_people_are_refused(people: int, folds: int, message: str) -> None:
    rows = [photo(f"p{i}", split="train") for i in range(people)] + [photo("t", split="test")]
    with pytest.raises(ManifestError, match=message):
        assign_splits(manifest(rows), folds=folds, ref="f@1")
