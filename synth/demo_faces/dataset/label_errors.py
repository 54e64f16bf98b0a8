"""Label errors planted in a demo data set, so that an audit can be evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from data_manifests.taxonomy import SHOTS, AgeCuts, age_class_of
from synth.demo_faces.parameters import Person

WORN_SHOTS: Final = tuple(s for s in SHOTS if s.startswith("mask"))

# Share of people with each kind of error; relabelling of the competition's data found a few percent of each. The keys
# are stored in truth.csv and demo.json.
SHARES: Final[Mapping[str, float]] = {
    "wrong_gender": 0.03,
    "wrong_age_class": 0.03,
    "incorrect_swapped": 0.02,
    "normal_swapped": 0.01,
    "stranger": 0.015,
    "duplicate": 0.015,
}
ERROR_NAMES: Final[Mapping[str, str]] = {
    "wrong_gender": "wrong gender",
    "wrong_age_class": "wrong age class",
    "incorrect_swapped": "incorrect mask swapped",
    "normal_swapped": "unmasked shot swapped",
    "stranger": "photo of another person",
    "duplicate": "duplicate",
}
MIN_PERSONS_FOR_ALL_KINDS = 40  # people
FAR_SHARE = 0.35  # share of wrong age classes of young and old people that skip the middle class
_AGES: Final = ((18, 29), (30, 59), (60, 85))


@dataclass(frozen=True)
class PlantedError:
    """Label error of one profile; `kind` is empty for most.

    `listed_gender` and `listed_age` go into train.csv. `swap` names two shots whose photos are swapped. `shot` shows
    another person: one who is in no profile, or the person with index `source`, as a copy or reencoded.
    """

    listed_gender: str
    listed_age: int
    kind: str = ""
    swap: tuple[str, str] | None = None
    shot: str | None = None
    source: int | None = None
    reencoded: bool = False
    shots: tuple[str, ...] = field(default=())  # the shots with the error


def error_counts(persons: int) -> dict[str, int]:
    """Return the people per kind: the rounded share, and at least one from MIN_PERSONS_FOR_ALL_KINDS people on."""
    minimum = 1 if persons >= MIN_PERSONS_FOR_ALL_KINDS else 0
    return {kind: max(minimum, round(share * persons)) for kind, share in SHARES.items()}


def plant_errors(people: list[Person], rng: np.random.Generator) -> list[PlantedError]:
    """Draw the people with each error, at most one per person; only photos of profiles without errors are copied."""
    order = [int(i) for i in rng.permutation(len(people))]
    out = [PlantedError(p.gender, p.age) for p in people]
    taken = 0
    counts = error_counts(len(people))
    clean = order[sum(counts.values()) :]
    for kind, count in counts.items():
        for index in order[taken : taken + count]:
            source = clean.pop() if kind == "duplicate" and clean else None
            out[index] = _plant(kind, people[index], source, rng)
        taken += count
    return out


def _plant(kind: str, person: Person, source: int | None, rng: np.random.Generator) -> PlantedError:
    gender, age = person.gender, person.age
    if kind == "wrong_gender":
        return PlantedError("male" if gender == "female" else "female", age, kind, shots=SHOTS)
    if kind == "wrong_age_class":
        return PlantedError(gender, wrong_age(age, rng), kind, shots=SHOTS)
    if kind in ("incorrect_swapped", "normal_swapped"):
        first = "incorrect_mask" if kind == "incorrect_swapped" else "normal"
        swap = (first, str(rng.choice(WORN_SHOTS)))
        return PlantedError(gender, age, kind, swap=swap, shots=swap)
    shot = str(rng.choice(SHOTS))
    if kind == "duplicate" and source is None:
        return PlantedError(gender, age)  # no profile left to copy from
    return PlantedError(gender, age, kind, shot=shot, source=source, reencoded=bool(rng.random() < 0.5), shots=(shot,))


def wrong_age(age: int, rng: np.random.Generator) -> int:
    """Draw an age of another class: mostly an adjacent one, for young and old people sometimes the far one."""
    cuts = AgeCuts()
    true = age_class_of(age, cuts)
    far = 2 - true if rng.random() < FAR_SHARE else 1
    listed = int(rng.choice([0, 2])) if true == 1 else far
    low, high = _AGES[listed]
    return int(rng.integers(low, high + 1))
