"""Label errors that a demo plants on purpose, so that an audit has something true to find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from data_manifests.taxonomy import SHOTS, AgeCuts
from synth.demo_faces.parameters import Person

WORN_SHOTS: Final = tuple(s for s in SHOTS if s.startswith("mask"))

# Share of the people that carry each kind of error; the competition's own relabelling found a few percent of each.
SHARES: Final[Mapping[str, float]] = {
    "wrong_gender": 0.03,
    "wrong_age_class": 0.03,
    "incorrect_swapped": 0.02,
    "normal_swapped": 0.01,
    "stranger": 0.015,
    "duplicate": 0.015,
}
AT_LEAST_ONE_FROM = 40  # people
FAR_SHARE = 0.35  # of the wrong age classes of young and old people, those that skip the middle class
_AGES: Final = ((18, 29), (30, 59), (60, 85))


@dataclass(frozen=True)
class Planted:
    """What is wrong with one profile. `kind` is empty for most.

    `listed_gender` and `listed_age` go into train.csv. `swap` names two shots whose photos change places; `shot` is the
    one that shows somebody else: a stranger, or the person `source` (an index), byte for byte or encoded again.
    """

    listed_gender: str
    listed_age: int
    kind: str = ""
    swap: tuple[str, str] | None = None
    shot: str | None = None
    source: int | None = None
    reencoded: bool = False
    shots: tuple[str, ...] = field(default=())  # the pictures that the error concerns


def error_counts(persons: int) -> dict[str, int]:
    """How many people carry each kind: the rounded share, and at least one from `AT_LEAST_ONE_FROM` people on."""
    least = 1 if persons >= AT_LEAST_ONE_FROM else 0
    return {kind: max(least, round(share * persons)) for kind, share in SHARES.items()}


def plant_errors(people: list[Person], rng: np.random.Generator) -> list[Planted]:
    """Choose who carries which error; nobody carries two, and only photos of flawless profiles are copied."""
    order = [int(i) for i in rng.permutation(len(people))]
    out = [Planted(p.gender, p.age) for p in people]
    taken = 0
    counts = error_counts(len(people))
    clean = order[sum(counts.values()) :]
    for kind, count in counts.items():
        for index in order[taken : taken + count]:
            source = clean.pop() if kind == "duplicate" and clean else None
            out[index] = _plant(kind, people[index], source, rng)
        taken += count
    return out


def _plant(kind: str, person: Person, source: int | None, rng: np.random.Generator) -> Planted:
    gender, age = person.gender, person.age
    if kind == "wrong_gender":
        return Planted("male" if gender == "female" else "female", age, kind, shots=SHOTS)
    if kind == "wrong_age_class":
        return Planted(gender, wrong_age(age, rng), kind, shots=SHOTS)
    if kind in ("incorrect_swapped", "normal_swapped"):
        first = "incorrect_mask" if kind == "incorrect_swapped" else "normal"
        swap = (first, str(rng.choice(WORN_SHOTS)))
        return Planted(gender, age, kind, swap=swap, shots=swap)
    shot = str(rng.choice(SHOTS))
    if kind == "duplicate" and source is None:
        return Planted(gender, age)  # nobody left to copy from
    return Planted(gender, age, kind, shot=shot, source=source, reencoded=bool(rng.random() < 0.5), shots=(shot,))


def wrong_age(age: int, rng: np.random.Generator) -> int:
    """An age of another class: mostly the next one, for young and old people sometimes the far one."""
    cuts = AgeCuts()
    true = int(age >= cuts.middle) + int(age >= cuts.old)
    far = 2 - true if rng.random() < FAR_SHARE else 1
    listed = int(rng.choice([0, 2])) if true == 1 else far
    low, high = _AGES[listed]
    return int(rng.integers(low, high + 1))
