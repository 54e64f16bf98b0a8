"""What to make: a table with one row per picture, which can be read, edited and run.

A synthetic profile is one unmasked picture, five worn masks of different types and one worn wrongly, all of one real
person of the train split. Its pictures take the person's labels, `person_id` and `split`; where `to_age` is given, the
face is moved from `from_age` to that age first, and that is their age.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from data_manifests.errors import ManifestError
from data_manifests.taxonomy import SHOT_MASK, SHOTS, AgeCuts
from synth.ages import draw_age
from synth.masks import draw_wear
from synth.plan.goals import Goal, goals_of
from synth.seeds import seed_of
from synth.settings import SynthSettings

PLAN_COLUMNS = ("profile_id", "person_id", "parent_id", "shot", "mask_type", "wear", "from_age", "to_age", "look_seed",
                "seed")  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """`table` has PLAN_COLUMNS; `notes` say, for people, what is wanted and what cannot be reached and why."""

    table: pd.DataFrame
    notes: list[str]


@dataclass(frozen=True)
class _Profile:
    """One profile to make: of whom, from which photo; `from_age` where it is to be moved."""

    person_id: str
    parent_id: str
    number: int
    from_age: int | None = None


def make_plan(table: pa.Table, settings: SynthSettings, cuts: AgeCuts) -> Plan:
    """Profiles that bring the train split to its targets. Raises ManifestError without a split."""
    if table.column("split").null_count == table.num_rows:
        raise ManifestError(
            "no row has a split, and synthetic people may only come from train. Run: data_manifests split"
        )
    sources = _sources(table)
    dealer = _Dealer(sources, settings)
    ages = sources["age"].dropna().to_numpy(int)
    rows: list[dict[str, object]] = []
    notes = []
    for goal in goals_of(table, settings, cuts):
        moved = list(_moved(dealer, goal, settings))
        own = _of(sources, goal.age_class, goal.gender)
        chosen = moved + list(dealer.deal(own, goal.profiles - len(moved)))
        notes.append(_note(goal, len(chosen), len(moved), own["person_id"].nunique(), settings))
        for profile in chosen:
            rows.extend(_pictures(profile, goal, ages, settings, cuts))
    plan = pd.DataFrame(rows, columns=list(PLAN_COLUMNS))
    return Plan(plan.astype({"from_age": "Int64", "to_age": "Int64"}), notes)


def _sources(table: pa.Table) -> pd.DataFrame:
    """Unmasked real photos of train people on which a mask can be laid; `used`: synthetic profiles they have so far."""
    columns = ["sample_id", "person_id", "profile_id", "gender", "age", "age_class", "mask", "split", "status",
               "is_synthetic"]  # fmt: skip
    rows = table.select(columns).to_pandas()
    rows["has_landmarks"] = table.column("landmarks_xy").is_valid().to_pandas()
    used = rows[rows["is_synthetic"]].groupby("person_id")["profile_id"].nunique()
    rows = rows[
        ~rows["is_synthetic"]
        & (rows["mask"] == "none")
        & (rows["split"] == "train")
        & (rows["status"] == "ok")  # not fallback: a guessed face would carry a misplaced mask
        & rows["has_landmarks"]
        & rows["age_class"].notna()
    ]
    return rows.assign(used=rows["person_id"].map(used).fillna(0).astype(int)).sort_values("sample_id")


def _of(sources: pd.DataFrame, age_class: int | None, gender: str | None) -> pd.DataFrame:
    """The sources of one age class and gender; None stands for any."""
    if age_class is not None:
        sources = sources[sources["age_class"] == age_class]
    return sources if gender is None else sources[sources["gender"] == gender]


class _Dealer:
    """Deals profiles round people in a seeded order; nobody gives more than the most allowed, over all goals."""

    def __init__(self, sources: pd.DataFrame, settings: SynthSettings) -> None:
        self.sources, self._most = sources, settings.max_profiles_per_person
        self._used: dict[str, int] = {str(row.person_id): int(row.used) for row in sources.itertuples()}  # type: ignore[arg-type]
        order = sorted(self._used, key=lambda person: seed_of(settings.seed, "order", person))
        self._place = {person: place for place, person in enumerate(order)}

    def deal(self, people: pd.DataFrame, wanted: int, *, moved: bool = False) -> Iterator[_Profile]:
        """At most `wanted` profiles of these photos, the people in turn, each person's photos in turn."""
        photos: dict[str, list[Any]] = {}
        for row in people.itertuples():
            photos.setdefault(str(row.person_id), []).append(row)
        turn, left = sorted(photos, key=self._place.__getitem__), wanted
        while left > 0 and turn:
            turn = [person for person in turn if self._used[person] < self._most]
            for person in turn[:left]:
                photo = photos[person][self._used[person] % len(photos[person])]
                self._used[person] += 1
                yield _Profile(person, str(photo.sample_id), self._used[person], int(photo.age) if moved else None)
            left -= min(left, len(turn))


def _moved(dealer: _Dealer, goal: Goal, settings: SynthSettings) -> Iterator[_Profile]:
    """The share of a goal's profiles that are people of other age classes, moved to this one."""
    if settings.ages.method == "none" or goal.age_class is None:
        return
    classes = [source for source, target in settings.ages.moves if target == goal.age_class]
    people = _of(dealer.sources, None, goal.gender)
    people = people[people["age_class"].isin(classes) & people["age"].notna() & people["gender"].notna()]
    yield from dealer.deal(people, round(settings.ages.share * goal.profiles), moved=True)


def _pictures(
    profile: _Profile, goal: Goal, ages: np.ndarray, settings: SynthSettings, cuts: AgeCuts
) -> Iterator[dict[str, object]]:
    profile_id = f"{profile.person_id}/s{profile.number}"
    rng = np.random.default_rng(seed_of(settings.seed, profile_id))
    worn = rng.choice(settings.types, size=5, replace=len(settings.types) < 5)
    types = {"normal": "", "incorrect_mask": str(rng.choice(settings.types))}
    types |= {f"mask{i + 1}": str(mask_type) for i, mask_type in enumerate(worn)}
    wears = {"none": "", "worn": "worn", "incorrect": draw_wear(settings.wears, rng)}
    to_age = None
    if profile.from_age is not None and goal.age_class is not None:
        to_age = draw_age(ages, goal.age_class, cuts, np.random.default_rng(seed_of(settings.seed, profile_id, "age")))
    for shot in SHOTS:
        yield {
            "profile_id": profile_id, "person_id": profile.person_id, "parent_id": profile.parent_id, "shot": shot,
            "mask_type": types[shot], "wear": wears[SHOT_MASK[shot]], "from_age": profile.from_age, "to_age": to_age,
            "look_seed": seed_of(settings.seed, profile_id, "look"), "seed": seed_of(settings.seed, profile_id, shot),
        }  # fmt: skip


def _note(goal: Goal, planned: int, moved: int, people: int, settings: SynthSettings) -> str:
    line = f"{goal.name}: {planned} profiles planned from {people} people"
    if moved:
        line += f"; {moved} of them are people of another age, moved to this one"
    if planned < goal.profiles:
        line += (
            f"; {goal.wanted}, {goal.profiles - planned} cannot be reached: a person gives at most "
            f"{settings.max_profiles_per_person} (max_profiles_per_person), and only train people with an unmasked "
            "photo whose landmarks were found can give any"
        )
    return line
