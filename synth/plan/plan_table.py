"""The plan: a table with one row per image to make, which can be read, edited and run.

Where all labels are known and the photos come in profiles, images are made in synthetic profiles: one unmasked image,
five worn masks of different types and one worn incorrectly, all of one real person of the train split. Elsewhere every
image is made by itself, and its `shot` is empty. Images inherit the person's labels, `person_id` and `split`. Where
`to_age` is given, the face is first moved from `from_age` to that age, which is the age of the new row.
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
from data_manifests.files import csv_bytes, read_csv_frame
from data_manifests.labels import has_all_tasks
from data_manifests.taxonomy import SHOT_MASK, SHOTS, AgeCuts
from data_manifests.versions import write_atomic
from pipeline.progress import counted
from synth.ages import sample_target_age
from synth.masks import UserTemplate, load_templates, sample_fitting_placement, sample_placement
from synth.plan import strata
from synth.plan.confounding import mask_notes
from synth.plan.goals import IMAGE, PROFILE, Goal, check_targets, profile_goals
from synth.plan.sources import Allocation, Allocator, NothingToBalance, Sources, find_sources, select_faces
from synth.seeds import derive_seed
from synth.settings import SynthSettings

PLAN_COLUMNS = ("profile_id", "person_id", "parent_id", "shot", "mask_type", "wear", "from_age", "to_age", "look_seed",
                "seed")  # fmt: skip
"""Columns of a plan; `wear` is the placement, `look_seed` the seed of the variation of the photo."""
_TEXT_COLUMNS = ("profile_id", "person_id", "parent_id", "shot", "mask_type", "wear")
_COLUMN_TYPES: dict[str, Any] = dict.fromkeys(_TEXT_COLUMNS, str) | dict.fromkeys(("from_age", "to_age"), "Int64")


@dataclass(frozen=True)
class PlannedGoal:
    """A goal and the number of units that the plan makes for it; `moved` of them have a moved age."""

    goal: Goal
    planned: int
    moved: int
    people: int  # of the goal's age class and gender with a usable photo
    max_profiles_per_person: int

    @property
    def after(self) -> int:
        """Number that exists or is planned after this goal, in `goal.counted`s."""
        return self.goal.before + self.planned * self.goal.per_unit

    def note(self) -> str:
        """Return one line for a terminal: counts before and after, and the reason if fewer than requested."""
        goal = self.goal
        line = f"{goal.name}: {goal.before} → {counted(self.after, goal.counted)}; "
        line += f"{counted(self.planned, goal.unit)} planned from {counted(self.people, 'person', 'people')}"
        if self.moved:
            line += f"; {self.moved} of them are people of another age class, moved to this one"
        if self.planned < goal.wanted:
            kind = "profiles" if goal.unit == PROFILE else "synthetic images"
            line += (
                f"; {goal.request}, {goal.wanted - self.planned} cannot be reached: a person gives at most "
                f"{self.max_profiles_per_person} {kind} (max_profiles_per_person), and only train people with an "
                "unmasked photo whose landmarks were found can give any"
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
                "mask": one.goal.mask, "unit": one.goal.unit, "before": one.goal.before, "after": one.after,
                "requested_profiles": one.goal.wanted, "planned_profiles": one.planned,
                "moved_age_profiles": one.moved, "people": one.people,
            }
            for one in self.goals
        ]  # fmt: skip
        counts = {"images": len(self.table), "profiles": int(self.table["profile_id"].nunique())}
        return counts | {"goals": goals, "notes": self.notes}


def make_plan(table: pa.Table, settings: SynthSettings, cuts: AgeCuts, ref: str = "REF") -> Plan:
    """Plan images that bring the train split of `ref`, whose rows are `table`, to its targets.

    Raises ManifestError without a split, ConfigError for a target that asks for a label that no row has, StageError if
    images are requested and there is no bare face to make them from, and NothingToBalance if there can be none.
    """
    if table.column("split").null_count == table.num_rows:
        raise ManifestError(
            f"no row of {ref} has a split, and synthetic people may only come from train. Run: facecurate split {ref}"
        )
    check_targets(table, settings.targets, ref)
    # single photos get single images: profiles for one age class alone would give masks to this class alone
    is_set = has_all_tasks(table)
    if is_set and (strata.has_profiles(table) or settings.targets or settings.ages.method != "none"):
        sources, goals = find_sources(table, ("age_class",), ref), list(profile_goals(table, settings, cuts))
        about = f"{ref} has labels of mask, gender, age: whole profiles of {len(SHOTS)} images, balanced by age class"
    else:
        strata.check_no_moves(settings, ref)
        columns = strata.stratum_columns(table)
        sources, goals = find_sources(table, columns, ref), list(strata.image_goals(table, settings, cuts))
        about = strata.describe(table, columns, ref)
        if is_set:
            about += (
                "; its photos are no profiles, so each stratum gets bare, worn and incorrect masks in equal numbers"
            )
    if not goals or (sources.faces.empty and any(goal.wanted for goal in goals)):
        error = NothingToBalance if sources.can_be_none and not settings.targets else StageError
        raise error(f"{ref} has no bare face to put masks on: {sources.reasons() or 'it has no train photo'}.")
    largest = "the largest" if settings.stage == 1 else "twice the largest"
    upto = "targets" if settings.targets else f"stage {settings.stage}: up to {largest}"
    planned, rows = _allocate(sources, goals, settings, cuts)
    plan = pd.DataFrame(rows, columns=list(PLAN_COLUMNS)).astype({"from_age": "Int64", "to_age": "Int64"})
    notes = [f"{about} ({upto})", *(goal.note() for goal in planned), sources.note(), *mask_notes(table, plan, cuts)]
    return Plan(plan, [note for note in notes if note], planned)


def _allocate(
    sources: Sources, goals: Sequence[Goal], settings: SynthSettings, cuts: AgeCuts
) -> tuple[list[PlannedGoal], list[dict[str, object]]]:
    """Return what is planned for each goal, and the rows of the plan."""
    allocator = Allocator(sources.faces, settings)
    ages = sources.faces["age"].dropna().to_numpy(int)
    templates = load_templates(settings.templates) if settings.templates else {}
    rows: list[dict[str, object]] = []
    planned = []
    by_goal = [select_faces(sources.faces, goal.age_class, goal.gender) for goal in goals]
    counts = [goal.wanted for goal in goals]
    if not settings.targets:  # targets are served in their order
        counts = strata.share_out(goals, [allocator.capacity(own) for own in by_goal])
    for goal, own, count in zip(goals, by_goal, counts, strict=True):
        if goal.unit == IMAGE:
            moved: list[Allocation] = []
            made = list(allocator.allocate(own, count, least_used_first=True))
            rows += [_image_row(one, strata.mask_in_turn(goal, k), settings, templates) for k, one in enumerate(made)]
        else:
            moved = list(_moved(allocator, goal, settings))
            made = moved + list(allocator.allocate(own, goal.wanted - len(moved)))
            rows += [row for one in made for row in _profile_rows(one, goal, ages, settings, cuts)]
        people = int(own["person_id"].nunique())
        planned.append(PlannedGoal(goal, len(made), len(moved), people, settings.max_profiles_per_person))
    return planned, rows


def write_plan(file: Path, table: pd.DataFrame) -> None:
    """Write a plan as CSV, which `read_plan` reads."""
    write_atomic(file, csv_bytes(table))


def read_plan(file: Path) -> pd.DataFrame:
    """Read a plan from CSV. Raises StageError if it cannot be read or lacks columns."""
    options: dict[str, Any] = {"keep_default_na": False, "na_values": {"from_age": "", "to_age": ""}}
    try:
        table = read_csv_frame(file, dtype=_COLUMN_TYPES, error=StageError, **options)
    except StageError as error:
        raise StageError(f"plan {file} cannot be read: {error}") from None
    missing = [name for name in PLAN_COLUMNS if name not in table.columns]
    if missing:
        raise StageError(
            f"plan {file} lacks the columns {', '.join(missing)}. Make one with: facecurate synth plan REF --out {file}"
        )
    return table


def _moved(allocator: Allocator, goal: Goal, settings: SynthSettings) -> Iterator[Allocation]:
    """Yield the share of a goal's profiles that are people of other age classes, moved to this one."""
    if settings.ages.method == "none" or goal.age_class is None:
        return
    classes = [source for source, target in settings.ages.moves if target == goal.age_class]
    people = select_faces(allocator.faces, None, goal.gender)
    people = people[people["age_class"].isin(classes) & people["age"].notna() & people["gender"].notna()]
    yield from allocator.allocate(people, round(settings.ages.share * goal.wanted), moved=True)


def _profile_rows(
    profile: Allocation, goal: Goal, ages: np.ndarray, settings: SynthSettings, cuts: AgeCuts
) -> Iterator[dict[str, object]]:
    """Yield the plan rows of a profile, one per shot."""
    profile_id = profile.profile_id
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
        yield _row(profile, shot, types[shot], placements[SHOT_MASK[shot]], shot, settings.seed) | {
            "from_age": profile.from_age, "to_age": to_age,
        }  # fmt: skip


def _image_row(
    image: Allocation, mask: str, settings: SynthSettings, templates: dict[str, UserTemplate]
) -> dict[str, object]:
    """Return the plan row of an image that is made by itself; an incorrect placement fits into the photo."""
    seed = derive_seed(settings.seed, image.profile_id, mask)
    if mask == "none":
        return _row(image, "", "", "", mask, settings.seed)
    rng = np.random.default_rng(derive_seed(settings.seed, image.profile_id))
    mask_type, placement = str(rng.choice(settings.types)), "worn"
    if mask == "incorrect":
        photo = image.photo
        landmarks, image_hw = np.reshape(photo.landmarks, (68, 2)), (int(photo.height_px), int(photo.width_px))
        placement = sample_fitting_placement(
            settings.placements, rng, landmarks, image_hw, mask_type=mask_type, seed=seed, templates=templates
        )
    return _row(image, "", mask_type, placement, mask, settings.seed)


def _row(one: Allocation, shot: str, mask_type: str, placement: str, what: str, seed: int) -> dict[str, object]:
    """Return a plan row without a moved age; `what` separates the seeds of a profile's images."""
    return {
        "profile_id": one.profile_id, "person_id": one.person_id, "parent_id": str(one.photo.sample_id), "shot": shot,
        "mask_type": mask_type, "wear": placement, "from_age": None, "to_age": None,
        "look_seed": derive_seed(seed, one.profile_id, "look"), "seed": derive_seed(seed, one.profile_id, what),
    }  # fmt: skip
