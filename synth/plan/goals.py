"""Goals of a plan: what is missing, in the order in which it is served, from a stage of balance or from targets.

Where mask, gender and age are known, whole profiles are made: one image without a mask, five worn and one worn
incorrectly. A target for one of these adds the others too, and each target counts what the targets before it add.
Where a label is unknown, single images are made: see `synth/plan/strata.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import ConfigError
from data_manifests.labels import labelled_tasks
from data_manifests.schema import USABLE
from data_manifests.splits import shortfall, stratum_counts
from data_manifests.taxonomy import SHOT_MASK, AgeCuts
from synth.settings import SynthSettings, Target

PER_PROFILE = {mask: list(SHOT_MASK.values()).count(mask) for mask in ("none", "worn", "incorrect")}
PROFILE, IMAGE = "profile", "image"


@dataclass(frozen=True)
class Goal:
    """A number `wanted` of units to make of people of an age class and gender; None stands for any.

    A unit is a whole PROFILE, or one IMAGE with `mask` (None: the three in turn). `before` counts what exists or is
    planned by earlier goals, in `counted`s, and a unit adds `per_unit` of them.
    """

    name: str
    age_class: int | None
    gender: str | None
    wanted: int
    request: str  # text for a terminal, such as "12 profiles are requested"
    before: int
    unit: str = PROFILE
    counted: str = PROFILE
    per_unit: int = 1
    mask: str | None = None


def profile_goals(table: pa.Table, settings: SynthSettings, cuts: AgeCuts) -> Iterator[Goal]:
    """Yield the goals of a table with all three labels, in whole profiles."""
    if settings.targets:
        yield from _from_targets(table, settings.targets, cuts)
        return
    for stratum in shortfall(stratum_counts(table), settings.stage).to_pylist():
        age_class, missing = stratum["age_class"], stratum["missing"]
        have, request = stratum["real"] + stratum["synthetic"], f"{missing} profiles are requested"
        yield Goal(f"age {cuts.names[age_class]}", age_class, None, missing, request, have)


def check_targets(table: pa.Table, targets: tuple[Target, ...], ref: str) -> None:
    """Raise ConfigError if a target asks for a label that no usable row of `ref` has. Masks are known once drawn."""
    known = labelled_tasks(table)
    for number, target in enumerate(targets, 1):
        for field, task in (("age_class", "age"), ("gender", "gender")):
            if getattr(target, field) is not None and task not in known:
                raise ConfigError(
                    f"target {number} of synth.targets asks for {field}={getattr(target, field)}, but no row of {ref} "
                    f"has a label of {task}; its labels: {', '.join(known) or 'none'}. Remove {field} from the target."
                )


def train_rows(table: pa.Table) -> pa.Table:
    """Return the labels of the usable rows of the train split."""
    usable = pc.and_kleene(pc.equal(table["split"], "train"), pc.is_in(table["status"], pa.array(USABLE)))
    return table.select(["age_class", "gender", "mask", "is_synthetic"]).filter(usable)


def count_rows(rows: pa.Table, target: Target) -> int:
    """Return the number of rows that a target counts."""
    for name in ("age_class", "gender", "mask"):
        value = getattr(target, name)
        if value is not None:
            rows = rows.filter(pc.equal(rows[name], value))
    return int(rows.num_rows)


def target_name(target: Target, cuts: AgeCuts) -> str:
    """Return the name of a target's stratum, such as "age 30-59, female, mask worn"."""
    age = "any age" if target.age_class is None else f"age {cuts.names[target.age_class]}"
    return ", ".join(part for part in (age, target.gender, target.mask and f"mask {target.mask}") if part)


def _from_targets(table: pa.Table, targets: tuple[Target, ...], cuts: AgeCuts) -> Iterator[Goal]:
    rows = train_rows(table)
    goals: list[Goal] = []
    for target in targets:
        per_unit = _images_per_profile(target)
        have = count_rows(rows, target)
        have += sum(goal.wanted * per_unit for goal in goals if serves(goal, target))
        profiles = -(-max(target.pictures - have, 0) // per_unit)
        request = f"{target.pictures} images are requested, {have} exist or are planned: {profiles} profiles"
        name = target_name(target, cuts)
        goals.append(
            Goal(
                name, target.age_class, target.gender, profiles, request, have, counted=IMAGE, per_unit=per_unit,
                mask=target.mask,
            )
        )  # fmt: skip
        yield goals[-1]


def _images_per_profile(target: Target) -> int:
    """Return the number of images of a profile that count for a target."""
    return PER_PROFILE[target.mask] if target.mask else sum(PER_PROFILE.values())


def serves(goal: Goal, target: Target) -> bool:
    """Return whether every person of a goal counts for a target."""
    return target.age_class in (None, goal.age_class) and target.gender in (None, goal.gender)
