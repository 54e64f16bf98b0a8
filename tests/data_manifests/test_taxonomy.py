"""The 18 classes and the age cuts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from data_manifests.errors import ManifestError
from data_manifests.taxonomy import (
    GENDERS,
    MASKS,
    MAX_AGE,
    MIN_AGE,
    N_AGE_CLASSES,
    N_CLASSES,
    SHOT_MASK,
    SHOTS,
    AgeCuts,
    age_class_of,
    class_id_of,
    class_names,
    split_class_id,
)

CUTS = st.lists(st.integers(MIN_AGE + 1, MAX_AGE), min_size=2, max_size=2, unique=True).map(
    lambda c: AgeCuts(*sorted(c))
)


def test_the_published_numbering() -> None:
    """Class ids from the competition's class table."""
    mask = pa.array(["worn", "worn", "incorrect", "none", "none"])
    gender = pa.array(["male", "female", "male", "male", "female"])
    age = pa.array([29, 59, 30, 60, 61])
    assert class_id_of(mask, gender, age_class_of(age, AgeCuts())).to_pylist() == [0, 4, 7, 14, 17]
    names = class_names(AgeCuts())
    assert (names[0], names[4], names[17]) == ("worn male <30", "worn female 30-59", "none female >=60")


def test_class_ids_and_their_parts_are_one_to_one() -> None:
    mask, gender, age_class = split_class_id(np.arange(N_CLASSES))
    back = class_id_of(
        pa.array([MASKS[i] for i in mask]), pa.array([GENDERS[i] for i in gender]), pa.array(age_class, pa.int8())
    )
    assert back.to_pylist() == list(range(N_CLASSES))
    assert len(set(class_names(AgeCuts(45, 60)))) == N_CLASSES


def test_a_missing_label_gives_no_class() -> None:
    three = pa.array([1, 1, None], pa.int8())
    assert class_id_of(pa.array([None, "worn", "worn"]), pa.array(["male", None, "male"]), three).null_count == 3
    assert age_class_of(pa.array([None, 20], pa.int32()), AgeCuts()).to_pylist() == [None, 0]


@given(CUTS, st.integers(MIN_AGE, MAX_AGE))
def test_every_age_lies_within_the_bounds_of_its_class_only(cuts: AgeCuts, age: int) -> None:
    found = age_class_of(pa.array([age]), cuts)[0].as_py()
    within = [k for k in range(N_AGE_CLASSES) if cuts.bounds(k)[0] <= age <= cuts.bounds(k)[1]]
    assert within == [found]


@given(CUTS)
def test_bounds_cover_all_ages_and_cuts_read_back(cuts: AgeCuts) -> None:
    bounds = [cuts.bounds(k) for k in range(N_AGE_CLASSES)]
    assert (bounds[0][0], bounds[-1][1]) == (MIN_AGE, MAX_AGE)
    assert all(one[1] + 1 == two[0] for one, two in pairwise(bounds))
    assert AgeCuts.parse(f"{cuts.middle},{cuts.old}") == AgeCuts.parse(f"{cuts.middle}/{cuts.old}") == cuts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("30", "must be two whole numbers such as 30,60. Got '30' instead"),
        ("30,60,90", "must be two whole numbers"),
        ("a,b", "must be two whole numbers"),
        ("60,30", "must increase within 0 to 116, such as 30,60. Got 60,30 instead"),
        ("30,30", "must increase"),
        ("0,30", "must increase"),
        ("30,117", "must increase"),
    ],
)
def test_cuts_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        AgeCuts.parse(text)


def test_a_profile_has_seven_shots_with_one_mask_label_each() -> None:
    assert len(SHOTS) == 7
    assert set(SHOT_MASK) == set(SHOTS)
    assert [list(SHOT_MASK.values()).count(mask) for mask in MASKS] == [5, 1, 1]


@given(st.lists(st.integers(MIN_AGE, MAX_AGE), min_size=1), CUTS)
def test_the_class_is_the_same_for_every_type_of_age(ages: list[int], cuts: AgeCuts) -> None:
    expected = [int(np.digitize(age, cuts.starts)) for age in ages]
    assert age_class_of(np.array(ages), cuts).tolist() == expected
    assert age_class_of(torch.tensor(ages), cuts).tolist() == expected
    assert age_class_of(pa.array(ages), cuts).to_pylist() == expected
    for age, age_class in zip(ages, expected, strict=True):
        entry = cuts.as_json()[age_class]
        assert entry["first"] <= age <= entry["last"]
