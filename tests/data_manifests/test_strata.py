"""Strata of people: which labels form them, and the lines that `facecurate split` prints."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from data_manifests.labels import UNKNOWN
from data_manifests.splits.assign import assign_splits
from data_manifests.splits.strata import people_of, strata_lines
from data_manifests.taxonomy import SHOTS, AgeCuts
from tests.support.manifest_tables import crop, manifest, photo, synthetic
from tests.support.partial_sets import PARTIAL, partial_labels, partial_table

STRATA = {
    "mask": ("mask",), "gender": ("gender",), "age": ("age",), "mask+gender": ("mask", "gender"), "none": (),
    "mixed": ("mask", "gender", "age"),
}  # fmt: skip


@pytest.mark.parametrize("labelled", PARTIAL)
def test_strata_are_made_of_the_labels_that_exist(labelled: str) -> None:
    assert people_of(partial_table(labelled)).tasks == STRATA[labelled]


@pytest.mark.parametrize("labelled", PARTIAL)
def test_every_split_gets_its_share_of_each_stratum(labelled: str) -> None:
    table = assign_splits(partial_table(labelled, 180), ratios={"train": 0.75, "val": 0.25})
    strata: Counter[tuple[Any, ...]] = Counter()
    val: Counter[tuple[Any, ...]] = Counter()
    for labels, split in zip(partial_labels(labelled, 180), table["split"].to_pylist(), strict=True):
        strata[tuple(labels.values())] += 1
        val[tuple(labels.values())] += split == "val"
    assert all(abs(val[stratum] - size / 4) < 1 for stratum, size in strata.items())
    assert sum(val.values()) == 45


def test_people_with_all_shots_are_not_separated_by_mask() -> None:
    rows = [photo(f"p{person}", shot) for person in range(6) for shot in SHOTS]
    one_shot = [photo("q1", "normal"), photo("q2", "mask1")]
    people = people_of(manifest(rows + one_shot))
    assert people.tasks == ()
    assert set(people.codes["mask"]) == {UNKNOWN}


def test_most_people_with_one_mask_make_strata_and_the_others_their_own() -> None:
    rows = [photo(f"p{k}", ("normal", "mask1")[k % 2]) for k in range(4)]
    rows += [photo("several", "normal"), photo("several", "mask1"), photo("unknown", mask=None)]
    table = manifest(rows)
    assert people_of(table).tasks == ("mask",)
    lines = strata_lines(assign_splits(table), AgeCuts(), ("train", "val"))
    assert [line.split()[0] for line in lines[1:5]] == ["mask", "worn", "none", "several"]


def test_synthetic_images_do_not_give_a_person_a_second_mask() -> None:
    worn, none = photo("a", "mask1"), photo("b", "normal")
    people = people_of(manifest([worn, crop(worn), none, crop(none), synthetic(none), synthetic(none, shot="mask2")]))
    assert people.tasks == ("mask",)
    assert people.codes["mask"].tolist() == [0, 2]


def test_lines_name_the_strata_and_those_that_are_too_small() -> None:
    rows = [photo(f"m{k:02d}", gender="male", age=25) for k in range(10)] + [photo("w", gender="female", age=70)]
    lines = strata_lines(assign_splits(manifest(rows)), AgeCuts(), ("train", "val"))
    assert lines[0].split() == ["strata", "by", "gender", "and", "age", "class", "people", "train", "val"]
    assert [line.split() for line in lines[1:3]] == [
        ["male", "<30", "10", "8", "2"],
        ["female", ">=60", "1", "1", "0"],
    ]
    assert lines[3:] == ["too small to be in val: female >=60 (1 person)"]


def test_without_different_labels_there_are_no_strata() -> None:
    assert strata_lines(partial_table("none"), AgeCuts(), ("train",)) == ["no strata: no label of people is known"]
    same = manifest([photo("a"), photo("b")])
    assert strata_lines(same, AgeCuts(), ("train",)) == ["no strata: all people have the same labels"]


def test_many_strata_are_cut_off() -> None:
    table = assign_splits(partial_table("mixed", 180))
    lines = strata_lines(table, AgeCuts(), ("train", "val"))
    assert lines[25].startswith("… and ")
    assert lines[1].startswith("no known label ")
    assert all(line.startswith("too small to be in ") for line in lines[26:])
