"""Goals of a plan: the number of missing profiles per age class and gender, from a stage of balance or from targets.

A profile has seven images: one without a mask, five worn and one worn incorrectly. A target for one of these therefore
adds the others too, and each target counts what the targets before it add.
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
    """A number of `profiles` to make of people of an age class and gender; None stands for any."""

    name: str
    age_class: int | None
    gender: str | None
    profiles: int
    request: str  # text for a terminal, such as "12 profiles are requested"


def iter_goals(table: pa.Table, settings: SynthSettings, cuts: AgeCuts) -> Iterator[Goal]:
    """Yield the goals in the order in which to serve them."""
    if settings.targets:
        yield from _from_targets(table, settings.targets, cuts)
        return
    for stratum in shortfall(stratum_counts(table), settings.stage).to_pylist():
        age_class, missing = stratum["age_class"], stratum["missing"]
        yield Goal(f"age {cuts.names[age_class]}", age_class, None, missing, f"{missing} profiles are requested")


def _from_targets(table: pa.Table, targets: tuple[Target, ...], cuts: AgeCuts) -> Iterator[Goal]:
    usable = pc.and_kleene(pc.equal(table["split"], "train"), pc.is_in(table["status"], pa.array(USABLE)))
    rows = table.select(["age_class", "gender", "mask"]).filter(usable)
    goals: list[Goal] = []
    for target in targets:
        have = _count(rows, target)
        have += sum(goal.profiles * _images_per_profile(target) for goal in goals if _serves(goal, target))
        missing = max(target.pictures - have, 0)
        profiles = -(-missing // _images_per_profile(target))
        request = f"{target.pictures} images are requested, {have} exist or are planned: {profiles} profiles"
        goals.append(Goal(_name(target, cuts), target.age_class, target.gender, profiles, request))
        yield goals[-1]


def _count(rows: pa.Table, target: Target) -> int:
    for name in ("age_class", "gender", "mask"):
        value = getattr(target, name)
        if value is not None:
            rows = rows.filter(pc.equal(rows[name], value))
    return int(rows.num_rows)


def _images_per_profile(target: Target) -> int:
    """Return the number of images of a profile that count for a target."""
    return PER_PROFILE[target.mask] if target.mask else sum(PER_PROFILE.values())


def _serves(goal: Goal, target: Target) -> bool:
    """Return whether every profile of a goal counts for a target."""
    return target.age_class in (None, goal.age_class) and target.gender in (None, goal.gender)


def _name(target: Target, cuts: AgeCuts) -> str:
    age = "any age" if target.age_class is None else f"age {cuts.names[target.age_class]}"
    return ", ".join(part for part in (age, target.gender, target.mask and f"mask {target.mask}") if part)
