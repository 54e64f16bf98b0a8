"""Counts and shortfall of strata, and the check for synthetic images of validation people in train."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manifests.errors import ConfigError, ManifestError
from data_manifests.splits.balance import check_no_leak, shortfall, stratum_counts, targets
from tests.support.manifest_tables import crop, manifest, photo, synthetic
from tests.support.partial_sets import partial_table

TRAIN = {"split": "train"}


def people() -> list[dict[str, Any]]:
    """Three young, two middle and one old person in train, and one old person in val."""
    ages = {"a": 20, "b": 25, "c": 29, "d": 40, "e": 50, "f": 70}
    rows = [photo(name, shot, age=age, **TRAIN) for name, age in ages.items() for shot in ("normal", "mask1")]
    return [*rows, photo("g", age=80, split="val")]


def test_profiles_count_once_and_only_rows_used_for_training() -> None:
    rows = people()
    extra = [
        crop(rows[0]), photo("h", age=20, status="failed", **TRAIN), photo("i", age=20, status="excluded", **TRAIN),
        photo("j", age=None, **TRAIN), photo("k", age=20), photo("l", age=20, status="fallback", **TRAIN),
        *(synthetic(rows[-3], number, shot) for number in (1, 2) for shot in ("normal", "mask1")),
    ]  # fmt: skip
    counts = stratum_counts(manifest(rows + extra))
    assert counts.to_pylist() == [
        {"age_class": 0, "real": 4, "synthetic": 0},
        {"age_class": 1, "real": 2, "synthetic": 0},
        {"age_class": 2, "real": 1, "synthetic": 2},
    ]


def test_stages_and_shortfall() -> None:
    counts = stratum_counts(manifest(people()))
    assert targets(counts, 1)["target"].to_pylist() == [3, 3, 3]
    assert shortfall(counts, 1)["missing"].to_pylist() == [0, 1, 2]
    assert targets(counts, 2)["target"].to_pylist() == [6, 6, 6]
    assert shortfall(counts, 2)["missing"].to_pylist() == [3, 4, 5]


@settings(deadline=None, max_examples=30)
@given(sizes=st.tuples(*[st.integers(0, 6)] * 3).filter(any), stage=st.sampled_from([1, 2]))
def test_after_synthesis_of_the_shortfall_nothing_is_missing(sizes: tuple[int, int, int], stage: int) -> None:
    ages = (20, 40, 70)
    rows = [photo(f"p{k}{i}", age=ages[k], **TRAIN) for k in range(3) for i in range(sizes[k])]
    donors = {ages.index(row["age"]): row for row in rows}
    plan = shortfall(stratum_counts(manifest(rows)), stage).to_pylist()
    made = [synthetic(donors[row["age_class"]], number) for row in plan for number in range(row["missing"])]
    after = shortfall(stratum_counts(manifest(rows + made)), stage)
    assert set(after["missing"].to_pylist()) == {0}
    assert len({r + s for r, s in zip(after["real"].to_pylist(), after["synthetic"].to_pylist(), strict=True)}) == 1


def test_other_strata_and_units() -> None:
    rows = people()
    by_two = stratum_counts(manifest([*rows, photo("m", age=20, gender="female", **TRAIN)]), ("gender", "age_class"))
    assert [(row["gender"], row["age_class"], row["real"]) for row in by_two.to_pylist()] == [
        ("female", 0, 1), ("male", 0, 3), ("male", 1, 2), ("male", 2, 1),
    ]  # fmt: skip
    made = [synthetic(rows[0]), synthetic(rows[0], 2)]
    people_of = stratum_counts(manifest(rows + made), unit="person")
    assert (people_of["real"].to_pylist(), people_of["synthetic"].to_pylist()) == ([3, 2, 1], [0, 0, 0])
    by_mask = stratum_counts(manifest(rows + made), ("mask",), unit="sample")
    assert by_mask.to_pylist() == [
        {"mask": "none", "real": 6, "synthetic": 0}, {"mask": "worn", "real": 6, "synthetic": 2},
    ]  # fmt: skip


def test_targets_are_over_the_strata_that_exist() -> None:
    masks = stratum_counts(partial_table("mask", 10, split="train"), ("mask",))
    assert shortfall(masks, 1)["missing"].to_pylist() == [1, 1, 0]  # incorrect, none, worn
    assert stratum_counts(partial_table("mask", 10, split="train")).num_rows == 0  # no age is known
    both = stratum_counts(partial_table("mixed", 90, split="train"), ("mask", "gender"))
    assert sum(both["real"].to_pylist()) == 36  # rows without mask or gender are in no stratum


def test_a_profile_with_different_labels_counts_once() -> None:
    rows = [photo("a", shot, age=age, **TRAIN) for shot, age in (("normal", 20), ("mask1", 70), ("mask2", 70))]
    assert stratum_counts(manifest(rows)).to_pylist() == [{"age_class": 2, "real": 1, "synthetic": 0}]


def test_nothing_to_train_on() -> None:
    counts = stratum_counts(manifest([photo("a")]))
    assert counts.num_rows == shortfall(counts, 1).num_rows == 0


def test_settings_that_are_refused() -> None:
    table = manifest([photo("a", **TRAIN)])
    with pytest.raises(ConfigError, match=r"unit must be one of \{profile, person, sample\}\. Got 'row' instead"):
        stratum_counts(table, unit="row")
    with pytest.raises(ConfigError, match=r"a stratum must be made of label columns .* Got 'race' instead"):
        stratum_counts(table, ("race",))
    with pytest.raises(ConfigError, match=r"stage must be one of \{1, 2\}\. Got 3 instead"):
        targets(stratum_counts(table), 3)


def test_leaks_are_refused_by_name() -> None:
    val, train = photo("v", split="val"), photo("t", **TRAIN)
    fine = [val, train, synthetic(train), synthetic(val), crop(synthetic(train, 2))]
    check_no_leak(manifest(fine))
    check_no_leak(manifest([photo("a"), synthetic(photo("a"))]))
    leak = synthetic(val, 3, **TRAIN)
    with pytest.raises(ManifestError, match=rf"Got 1 rows .*: {leak['sample_id']} of v in train; "):
        check_no_leak(manifest([*fine, leak]))
    for other in (synthetic(train, split=None), synthetic(photo("gone", **TRAIN))):
        with pytest.raises(ManifestError, match="Got 1 rows"):
            check_no_leak(manifest([*fine[:2], other]))
