"""Leaks across a split: one person, or one picture, in two of its parts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.schema import SPLITS, USABLE

_COLUMNS = ("sample_id", "path", "sha256", "person_id", "duplicate_of", "same_portrait_of", "split")


@dataclass(frozen=True)
class Leak:
    """A person or a picture in several parts of a split, in the order of SPLITS. `samples` has a sample_id per part."""

    kind: str  # person, picture, near-duplicate, portrait
    name: str
    parts: tuple[str, ...]
    samples: tuple[str, ...]


def find_leaks(table: pa.Table) -> tuple[Leak, ...]:
    """Return the leaks of the column `split`: people, equal files, then near-duplicates and portraits of an audit.

    A picture is listed once, under the first of these kinds.
    """
    rows = table.filter(pc.is_in(table.column("status"), pa.array(USABLE))).select(list(_COLUMNS)).to_pylist()
    placed = [row for row in rows if row["split"]]
    people = list(_across(placed, "person_id", "person"))
    equal = list(_across(placed, "sha256", "picture"))
    pictures = equal
    for column, kind in (("duplicate_of", "near-duplicate"), ("same_portrait_of", "portrait")):
        known = {sample for leak in pictures for sample in leak.samples}
        pictures += [leak for leak in _across(placed, column, kind) if not known & set(leak.samples)]
    return (*people, *pictures)


def leak_note(leaks: Iterable[Leak]) -> str:
    """Return the counts of leaks as a sentence, empty without a leak."""
    counts = Counter(leak.kind for leak in leaks)
    words = {"person": ("person", "people"), "picture": ("picture", "pictures")}
    words["near-duplicate"] = ("near-duplicate picture", "near-duplicate pictures")
    words["portrait"] = ("portrait with several masks", "portraits with several masks")
    found = [f"{counts[kind]:,} {words[kind][counts[kind] > 1]}" for kind in words if counts[kind]]
    if not found:
        return ""
    is_are = "is" if sum(counts.values()) == 1 else "are"
    return f"leak: {' and '.join(found)} {is_are} in more than one split, so validation scores are too high"


def _across(rows: Iterable[Mapping[str, Any]], column: str, kind: str) -> Iterator[Leak]:
    """Yield a leak for each value of a column that occurs in two parts."""
    groups: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for row in rows:
        if row[column]:
            groups[row[column]].setdefault(row["split"], row)
    for value, by_part in groups.items():
        if len(by_part) > 1:
            parts = tuple(part for part in SPLITS if part in by_part)
            name = value if column == "person_id" else by_part[parts[0]]["path"]
            yield Leak(kind, name, parts, tuple(by_part[part]["sample_id"] for part in parts))
