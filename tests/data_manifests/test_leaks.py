"""Leaks: a person or a picture in two parts of a split."""

from __future__ import annotations

import pytest

from data_manifests.splits import find_leaks, leak_note
from tests.support.manifest_tables import manifest, photo


def rows(**change: dict[int, dict[str, object]]) -> list[dict[str, object]]:
    made = [photo(f"p{i}", split="val" if i % 2 else "train", sha256=f"{i:064x}") for i in range(6)]
    for position, values in change.get("of", {}).items():
        made[position] |= values
    return made


def leaks_of(**change: dict[int, dict[str, object]]) -> list[tuple[str, tuple[str, ...]]]:
    return [(leak.kind, leak.parts) for leak in find_leaks(manifest(rows(**change)))]


def test_a_clean_split_and_a_set_without_one_have_none() -> None:
    assert leaks_of() == []
    assert leaks_of(of={i: {"split": None, "person_id": "p"} for i in range(6)}) == []


def test_each_kind_is_found_once() -> None:
    same = {"sha256": "a" * 64, "duplicate_of": "x"}
    near = {"duplicate_of": "y", "same_portrait_of": "y"}
    found = leaks_of(of={0: {"person_id": "p1"}, 2: same, 3: same, 4: near, 5: near})
    assert found == [(kind, ("train", "val")) for kind in ("person", "picture", "near-duplicate")]
    assert leaks_of(of={i: {"same_portrait_of": "z"} for i in range(4)}) == [("portrait", ("train", "val"))]


def test_an_excluded_row_leaks_nothing() -> None:
    assert leaks_of(of={0: {"person_id": "p1", "status": "excluded", "reason": "review: x"}}) == []


@pytest.mark.parametrize(
    ("people", "text"),
    [(1, "leak: 1 person is in more than one split"), (2, "leak: 2 people are in more than one split")],
)
def test_the_note_counts_them(people: int, text: str) -> None:
    change = {2 * i: {"person_id": f"p{2 * i + 1}"} for i in range(people)}
    assert leak_note(find_leaks(manifest(rows(of=change)))).startswith(text)
    assert leak_note(()) == ""
