"""The plan: a table with one row per image to make, which can be read, edited and run.

A synthetic profile is one unmasked image, five worn masks of different types and one worn incorrectly, all of one real
person of the train split. Its images inherit the person's labels, `person_id` and `split`. Where `to_age` is given, the
face is first moved from `from_age` to that age, which is the age of the new row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from data_manifests.errors import ManifestError, StageError
from data_manifests.taxonomy import SHOT_MASK, SHOTS, AgeCuts
from synth.ages import sample_target_age
from synth.masks import sample_placement
from synth.plan.goals import Goal, iter_goals
from synth.seeds import derive_seed
from synth.settings import SynthSettings

PLAN_COLUMNS = ("profile_id", "person_id", "parent_id", "shot", "mask_type", "wear", "from_age", "to_age", "look_seed",
                "seed")  # fmt: skip
"""Columns of a plan; `wear` is the placement, `look_seed` the seed of the variation of the photo."""
_TEXT_COLUMNS = ("profile_id", "person_id", "parent_id", "shot", "mask_type", "wear")
_COLUMN_TYPES: dict[str, Any] = dict.fromkeys(_TEXT_COLUMNS, str) | dict.fromkeys(("from_age", "to_age"), "Int64")


@dataclass(frozen=True)
class PlannedGoal:
    """A goal and the number of profiles that the plan makes for it; `moved` of them have a moved age."""

    goal: Goal
    planned: int
    moved: int
    people: int  # of the goal's age class and gender with a usable photo
    max_profiles_per_person: int

    def note(self) -> str:
        """Return one line for a terminal: the planned profiles, and the reason if fewer than requested."""
        line = f"{self.goal.name}: {self.planned} profiles planned from {self.people} people"
        if self.moved:
            line += f"; {self.moved} of them are people of another age class, moved to this one"
        if self.planned < self.goal.profiles:
            line += (
                f"; {self.goal.request}, {self.goal.profiles - self.planned} cannot be reached: a person gives at most "
                f"{self.max_profiles_per_person} (max_profiles_per_person), and only train people with an unmasked "
                "photo whose landmarks were found can give any"
            )
        return line


@dataclass(frozen=True)
class Plan:
    """A plan: `table` has PLAN_COLUMNS, `goals` what it makes, `notes` text for a terminal."""

    table: pd.DataFrame
    notes: list[str]
    goals: Sequence[PlannedGoal] = ()

    def to_json(self) -> dict[str, Any]:
        """Return counts, goals and notes as JSON values; the rows are in the CSV."""
        goals = [
            {
                "name": one.goal.name, "age_class": one.goal.age_class, "gender": one.goal.gender,
                "requested_profiles": one.goal.profiles, "planned_profiles": one.planned,
                "moved_age_profiles": one.moved, "people": one.people,
            }
            for one in self.goals
        ]  # fmt: skip
        counts = {"images": len(self.table), "profiles": int(self.table["profile_id"].nunique())}
        return counts | {"goals": goals, "notes": self.notes}


@dataclass(frozen=True)
class _Profile:
    """One profile to make: its person and photo; `from_age` if its age is moved."""

    person_id: str
    parent_id: str
    number: int
    from_age: int | None = None


def make_plan(table: pa.Table, settings: SynthSettings, cuts: AgeCuts) -> Plan:
    """Plan profiles that bring the train split to its targets. Raises ManifestError without a split."""
    if table.column("split").null_count == table.num_rows:
        raise ManifestError(
            "no row has a split, and synthetic people may only come from train. Run: data_manifests split"
        )
    sources = _sources(table)
    allocator = _ProfileAllocator(sources, settings)
    ages = sources["age"].dropna().to_numpy(int)
    rows: list[dict[str, object]] = []
    goals = []
    for goal in iter_goals(table, settings, cuts):
        moved = list(_moved(allocator, goal, settings))
        own = _select(sources, goal.age_class, goal.gender)
        profiles = moved + list(allocator.allocate(own, goal.profiles - len(moved)))
        people = int(own["person_id"].nunique())
        goals.append(PlannedGoal(goal, len(profiles), len(moved), people, settings.max_profiles_per_person))
        for profile in profiles:
            rows.extend(_rows(profile, goal, ages, settings, cuts))
    plan = pd.DataFrame(rows, columns=list(PLAN_COLUMNS)).astype({"from_age": "Int64", "to_age": "Int64"})
    return Plan(plan, [goal.note() for goal in goals], goals)


def read_plan(file: Path) -> pd.DataFrame:
    """Read a plan from CSV. Raises StageError if it cannot be read or lacks columns."""
    try:
        table = pd.read_csv(file, dtype=_COLUMN_TYPES, keep_default_na=False, na_values={"from_age": "", "to_age": ""})
    except (OSError, ValueError) as error:
        raise StageError(f"plan {file} cannot be read: {error}") from None
    missing = [name for name in PLAN_COLUMNS if name not in table.columns]
    if missing:
        raise StageError(
            f"plan {file} lacks the columns {', '.join(missing)}. Make one with: facecurate synth plan REF --out {file}"
        )
    return table


def _sources(table: pa.Table) -> pd.DataFrame:
    """Return unmasked real train photos with landmarks; `used` counts the person's synthetic profiles so far."""
    columns = ["sample_id", "person_id", "profile_id", "gender", "age", "age_class", "mask", "split", "status",
               "is_synthetic"]  # fmt: skip
    rows = table.select(columns).to_pandas()
    rows["has_landmarks"] = table.column("landmarks_xy").is_valid().to_pandas()
    used = rows[rows["is_synthetic"]].groupby("person_id")["profile_id"].nunique()
    rows = rows[
        ~rows["is_synthetic"]
        & (rows["mask"] == "none")
        & (rows["split"] == "train")
        & (rows["status"] == "ok")  # not fallback: a guessed face would get a misplaced mask
        & rows["has_landmarks"]
        & rows["age_class"].notna()
    ]
    return rows.assign(used=rows["person_id"].map(used).fillna(0).astype(int)).sort_values("sample_id")


def _select(sources: pd.DataFrame, age_class: int | None, gender: str | None) -> pd.DataFrame:
    """Return the sources of one age class and gender; None stands for any."""
    if age_class is not None:
        sources = sources[sources["age_class"] == age_class]
    return sources if gender is None else sources[sources["gender"] == gender]


class _ProfileAllocator:
    """Allocates profiles to people in turn, in a seeded order, up to the maximum per person over all goals."""

    def __init__(self, sources: pd.DataFrame, settings: SynthSettings) -> None:
        self.sources, self._max = sources, settings.max_profiles_per_person
        self._used: dict[str, int] = {str(row.person_id): int(row.used) for row in sources.itertuples()}  # type: ignore[arg-type]
        order = sorted(self._used, key=lambda person: derive_seed(settings.seed, "order", person))
        self._rank = {person: rank for rank, person in enumerate(order)}

    def allocate(self, people: pd.DataFrame, count: int, *, moved: bool = False) -> Iterator[_Profile]:
        """Yield at most `count` profiles of these photos: the people in turn, and each person's photos in turn."""
        photos: dict[str, list[Any]] = {}
        for row in people.itertuples():
            photos.setdefault(str(row.person_id), []).append(row)
        turn, left = sorted(photos, key=self._rank.__getitem__), count
        while left > 0 and turn:
            turn = [person for person in turn if self._used[person] < self._max]
            for person in turn[:left]:
                photo = photos[person][self._used[person] % len(photos[person])]
                self._used[person] += 1
                yield _Profile(person, str(photo.sample_id), self._used[person], int(photo.age) if moved else None)
            left -= min(left, len(turn))


def _moved(allocator: _ProfileAllocator, goal: Goal, settings: SynthSettings) -> Iterator[_Profile]:
    """Yield the share of a goal's profiles that are people of other age classes, moved to this one."""
    if settings.ages.method == "none" or goal.age_class is None:
        return
    classes = [source for source, target in settings.ages.moves if target == goal.age_class]
    people = _select(allocator.sources, None, goal.gender)
    people = people[people["age_class"].isin(classes) & people["age"].notna() & people["gender"].notna()]
    yield from allocator.allocate(people, round(settings.ages.share * goal.profiles), moved=True)


def _rows(
    profile: _Profile, goal: Goal, ages: np.ndarray, settings: SynthSettings, cuts: AgeCuts
) -> Iterator[dict[str, object]]:
    """Yield the plan rows of a profile, one per shot."""
    profile_id = f"{profile.person_id}/s{profile.number}"
    rng = np.random.default_rng(derive_seed(settings.seed, profile_id))
    worn = rng.choice(settings.types, size=5, replace=len(settings.types) < 5)
    types = {"normal": "", "incorrect_mask": str(rng.choice(settings.types))}
    types |= {f"mask{i + 1}": str(mask_type) for i, mask_type in enumerate(worn)}
    placements = {"none": "", "worn": "worn", "incorrect": sample_placement(settings.placements, rng)}
    to_age = None
    if profile.from_age is not None and goal.age_class is not None:
        age_rng = np.random.default_rng(derive_seed(settings.seed, profile_id, "age"))
        to_age = sample_target_age(ages, goal.age_class, cuts, age_rng)
    for shot in SHOTS:
        yield {
            "profile_id": profile_id, "person_id": profile.person_id, "parent_id": profile.parent_id, "shot": shot,
            "mask_type": types[shot], "wear": placements[SHOT_MASK[shot]], "from_age": profile.from_age,
            "to_age": to_age, "look_seed": derive_seed(settings.seed, profile_id, "look"),
            "seed": derive_seed(settings.seed, profile_id, shot),
        }  # fmt: skip
