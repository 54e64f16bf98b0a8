"""The counts of the doctor, its suspects, and the commands that follow: pure functions over tables."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pytest

from data_manifests.splits import find_leaks
from data_manifests.taxonomy import GENDERS, AgeCuts
from facecurate.cli import cli
from facecurate.doctor.contents import count_contents
from facecurate.doctor.findings import Findings
from facecurate.doctor.next_commands import COMMANDS, choose_commands
from facecurate.doctor.page import age_bins, suspects_tile
from facecurate.doctor.suspects import MIN_LABELLED, Suspect, Suspicions, estimate_wrong
from facecurate.doctor.wording import balance_text, estimate_text, per_person_text
from pipeline.faces import FaceShare
from tests.support.code_base import ROOT
from tests.support.manifest_tables import manifest, photo
from tests.support.partial_sets import PARTIAL, partial_table

CUTS = AgeCuts()
NOTHING = Suspicions((), (), (), (), (), (), ())
SUSPECT = Suspect("gender", "gender", 0.97, "male", "female", "labelled male, predicted female", "p1", ("a",))
CROPS = FaceShare(0.5, 30, 30, 30, are_crops=True)


def find(table: pa.Table, **values: Any) -> Findings:
    found = Findings("faces", "faces@1", "/photos", "table", "a CSV", count_contents(table, CUTS), find_leaks(table))
    return replace(found, **values)


def commands(found: Findings, can_make: bool = False) -> list[str]:
    return [one.command for one in choose_commands(found, can_make)]


def parse(command: str) -> None:
    """Parse a command as a shell and the real command line do, without running it."""
    program, *words = shlex.split(command)
    if program == "make":
        makefile = (ROOT / "Makefile").read_text()
        assert all(f"\n{target}:" in makefile for target in words if "=" not in target)
        return
    assert program == "facecurate"
    context, group = click.Context(cli), cli
    while isinstance(group, click.Group):
        _, group, words = group.resolve_command(context, words)
    group.make_context(command, words)


# -- counts -----------------------------------------------------------------------------------------------------------
def test_usable_photos_are_counted_by_the_labels_that_exist() -> None:
    rows = [photo("a", age=25), photo("a", "mask1", age=25, mask=None), photo("b", age=70, gender="female")]
    table = manifest([*rows, photo("c", status="failed", reason="ingest: file is empty (0 bytes)")])
    contents = count_contents(table, CUTS)
    mask, gender, age = contents.tasks
    assert (contents.photos, contents.usable, contents.people) == (4, 3, 2)
    assert mask.photos == {"worn": 0, "incorrect": 0, "none": 2}
    assert mask.unknown == 1
    assert gender.photos == {"male": 2, "female": 1}
    assert age.photos == {"<30": 2, "30-59": 0, ">=60": 1}
    assert contents.ages == {25: 2, 70: 1}
    assert contents.photos_per_person == {1: 1, 2: 1}
    assert contents.sizes == {"384×512": 3}
    assert [(one.path, one.reason) for one in contents.unreadable] == [
        ("images/c/normal.jpg", "file is empty (0 bytes)")
    ]


@pytest.mark.parametrize("labelled", PARTIAL)
def test_strata_are_those_of_the_labels_that_exist(labelled: str) -> None:
    contents = count_contents(partial_table(labelled), CUTS)
    tasks = {"none": (), "mixed": ("mask", "gender", "age")}.get(labelled, tuple(labelled.split("+")))
    assert contents.balance.tasks == tasks
    assert tuple(task.task for task in contents.labelled) == tasks
    if labelled == "mixed":  # only a row with all labels is in a stratum
        assert sum(one.photos for one in contents.balance.strata) == 36 // 5
    elif tasks:
        assert contents.balance.ratio == 1
        assert contents.balance.missing == contents.balance.empty == 0


def test_balance_states_ratio_empty_strata_and_missing_photos() -> None:
    people = [photo(f"p{i}", gender="male" if i < 8 else "female", age=None, mask=None) for i in range(10)]
    balance = count_contents(manifest(people), CUTS).balance
    assert balance.ratio == 4
    assert balance.missing == 6
    assert balance_text(balance).startswith("Largest to smallest 4 : 1 (male 8, female 2). 6 more photos")
    pairs = [photo(f"p{i}", gender=GENDERS[i % 2], age=None) for i in range(23)]
    nearly = count_contents(manifest(pairs), CUTS)
    assert balance_text(nearly.balance) == "Balanced: each of the 2 strata has 11 to 12 photos."
    one = count_contents(manifest(people[:3]), CUTS).balance
    assert one.ratio is None
    assert "nothing to balance" in balance_text(one)
    assert one.tasks == ()


def test_ages_are_binned_without_losing_a_photo() -> None:
    ages = {0: 3, 17: 1, 30: 4, 60: 2, 99: 5}
    bins = age_bins(ages)
    assert sum(one["count"] for one in bins) == 15
    assert max(one["height"] for one in bins) == 1
    assert bins[0]["name"] == "0–4"
    assert [one["name"] for one in age_bins({31: 2})] == ["31"]
    assert age_bins({}) == []


def test_photos_per_person_as_text() -> None:
    assert per_person_text({1: 5}) == "1 photo each"
    assert per_person_text({7: 5}) == "7 photos each"
    assert per_person_text({1: 5, 3: 2}) == "1 to 3 photos each"


# -- estimates --------------------------------------------------------------------------------------------------------
def test_wrong_labels_are_estimated_only_by_a_good_probe_of_many_labels() -> None:
    good = {"people": 600, "accuracy": 0.97, "estimated_error_rate": 0.0233}
    [estimate] = estimate_wrong({"gender": good})
    assert estimate_text(estimate) == "About 14 of 600 gender labels are wrong."
    assert estimate_wrong({"gender": good | {"accuracy": 0.7}}) == ()
    assert estimate_wrong({"gender": good | {"people": MIN_LABELLED - 1}}) == ()
    assert estimate_wrong({"age": {"people": 600, "class_macro_f1": 0.4, "estimated_error_rate": 0.02}}) == ()


# -- next commands ----------------------------------------------------------------------------------------------------
def test_suspects_come_first_then_split_then_the_main_line() -> None:
    found = find(partial_table("mask+gender"), suspicions=replace(NOTHING, labels=(SUSPECT,)))
    assert commands(found) == [
        "facecurate app", "facecurate split faces@photos", "facecurate preprocess run faces@photos --tag preprocessed",
    ]  # fmt: skip
    full = [photo(f"p{i}") for i in range(30)]
    assert commands(find(manifest(full), suspicions=NOTHING), can_make=True) == [
        "facecurate split faces@photos", "make preprocess synth train DATASET=faces",
        "facecurate report faces@balanced --out faces-balanced.html",
    ]  # fmt: skip


def test_crops_stay_as_they_are() -> None:
    rows = [photo(f"p{i}", split="val" if i % 4 == 3 else "train", mask=None) for i in range(30)]
    chosen = choose_commands(find(manifest(rows), face_share=CROPS, suspicions=NOTHING), can_make=True)
    assert [one.command for one in chosen][:2] == [
        "facecurate preprocess run faces@photos --tag preprocessed", "facecurate train fit faces@preprocessed",
    ]  # fmt: skip
    assert "stay as they are" in chosen[0].why
    assert "gender and age" in chosen[1].why


def test_a_split_with_a_person_in_two_parts_is_made_again() -> None:
    rows = [photo(f"p{i}", split="train") for i in range(30)]
    rows += [photo("p0", "mask1", split="val")]
    found = find(manifest(rows), suspicions=NOTHING)
    assert [leak.kind for leak in found.leaks] == ["person"]
    assert commands(found)[0] == "facecurate split faces@photos --reassign"


def test_a_split_without_validation_gets_one() -> None:
    rows = [photo(f"p{i}", split="test" if i % 3 == 0 else "train") for i in range(30)]
    first = choose_commands(find(manifest(rows), suspicions=NOTHING), can_make=False)[0]
    assert first.command == "facecurate split faces@photos"
    assert "test and train only" in first.why


def test_many_unreadable_photos_come_before_all_else() -> None:
    rows = [photo(f"p{i}", status="failed" if i % 2 else "ok", reason="ingest: broken") for i in range(30)]
    found = find(manifest(rows), source="/my photos")
    assert commands(found)[0] == "facecurate doctor '/my photos'"


@pytest.mark.parametrize("labelled", PARTIAL)
@pytest.mark.parametrize("count", [1, 36])
@pytest.mark.parametrize("face_share", [None, CROPS])
@pytest.mark.parametrize("suspicions", [None, NOTHING, replace(NOTHING, labels=(SUSPECT,))])
def test_there_are_three_commands_and_each_is_valid(
    labelled: str, count: int, face_share: FaceShare | None, suspicions: Suspicions | None
) -> None:
    found = find(partial_table(labelled, count), face_share=face_share, suspicions=suspicions)
    for can_make in (False, True):
        chosen = commands(found, can_make)
        assert len(set(chosen)) == COMMANDS
        for command in chosen:
            parse(command)


def test_an_invalid_command_does_not_parse(tmp_path: Path) -> None:
    with pytest.raises(click.UsageError):
        parse("facecurate split faces@photos --no-such-option")
    with pytest.raises(click.UsageError):
        parse("facecurate preprocess walk faces@photos")


# -- JSON -------------------------------------------------------------------------------------------------------------
def test_findings_are_json_values() -> None:
    nowhere = FaceShare(float("nan"), 0, 30, 30, are_crops=False)
    found = find(partial_table("mask"), face_share=nowhere, suspicions=replace(NOTHING, labels=(SUSPECT,)))
    read = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert read["contents"]["balance"] | {"strata": 0} == {
        "tasks": ["mask"], "strata": 0, "ratio": 1.0, "empty": 0, "missing": 0,
    }  # fmt: skip
    assert read["suspicions"]["labels"][0]["predicted"] == "female"
    assert read["face_share"]["median"] is None


def test_duplicates_are_named_where_no_single_label_is_suspected() -> None:
    copies = replace(SUSPECT, kind="duplicate", title="duplicate")
    tile = suspects_tile(find(partial_table("mask"), suspicions=replace(NOTHING, duplicates=(copies,))), False)
    assert tile == {"suspects_figure": "0", "suspects_text": "no single label is suspected; duplicates below: 1"}
    assert "no label" in suspects_tile(find(partial_table("mask"), suspicions=NOTHING), False)["suspects_text"]
