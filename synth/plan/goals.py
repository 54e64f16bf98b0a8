"""How many profiles are missing, and of whom: from a stage of balance, or from free targets.

A profile is seven pictures: one without a mask, five worn, one worn wrongly. A target for one of these therefore brings
the others along; each target counts what the ones before it have brought.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.schema import USABLE
from data_manifests.splits import shortfall, stratum_counts
from data_manifests.taxonomy import SHOT_MASK, AgeCuts
from synth.settings import SynthSettings, Target

PER_PROFILE = {mask: list(SHOT_MASK.values()).count(mask) for mask in ("none", "worn", "incorrect")}


@dataclass(frozen=True)
class Goal:
    """`profiles` to be made of people of an age class and gender; None stands for any."""

    name: str
    age_class: int | None
    gender: str | None
    profiles: int
    wanted: str  # for people: what is wanted, such as "12 profiles"


def goals_of(table: pa.Table, settings: SynthSettings, cuts: AgeCuts) -> Iterator[Goal]:
    """The goals in the order in which they are to be served."""
    if settings.targets:
        yield from _from_targets(table, settings.targets, cuts)
        return
    for stratum in shortfall(stratum_counts(table), settings.stage).to_pylist():
        age_class, missing = stratum["age_class"], stratum["missing"]
        yield Goal(f"age {cuts.names[age_class]}", age_class, None, missing, f"{missing} are wanted")


def _from_targets(table: pa.Table, targets: tuple[Target, ...], cuts: AgeCuts) -> Iterator[Goal]:
    usable = pc.and_kleene(pc.equal(table["split"], "train"), pc.is_in(table["status"], pa.array(USABLE)))
    rows = table.select(["age_class", "gender", "mask"]).filter(usable)
    given: list[Goal] = []
    for target in targets:
        have = _count(rows, target)
        have += sum(goal.profiles * _pictures(target) for goal in given if _serves(goal, target))
        missing = max(target.pictures - have, 0)
        profiles = -(-missing // _pictures(target))
        wanted = f"{target.pictures} pictures are wanted, {have} are there or planned: {profiles} profiles"
        given.append(Goal(_name(target, cuts), target.age_class, target.gender, profiles, wanted))
        yield given[-1]


def _count(rows: pa.Table, target: Target) -> int:
    for name in ("age_class", "gender", "mask"):
        value = getattr(target, name)
        if value is not None:
            rows = rows.filter(pc.equal(rows[name], value))
    return int(rows.num_rows)


def _pictures(target: Target) -> int:
    """How many pictures of a profile count for a target."""
    return PER_PROFILE[target.mask] if target.mask else sum(PER_PROFILE.values())


def _serves(goal: Goal, target: Target) -> bool:
    """Whether everybody whom a goal makes counts for a target."""
    return target.age_class in (None, goal.age_class) and target.gender in (None, goal.gender)


def _name(target: Target, cuts: AgeCuts) -> str:
    age = "any age" if target.age_class is None else f"age {cuts.names[target.age_class]}"
    return ", ".join(part for part in (age, target.gender, target.mask and f"mask {target.mask}") if part)
