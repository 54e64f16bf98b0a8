"""Goals of a table that lacks a label, or whose photos are no profiles: single images of the strata of its labels.

The mask of a synthetic image is known because it was drawn, so masks are always part of a stratum; gender and age are
part of it where most bare faces have the label. Stage 1 raises each stratum to the size of the largest, stage 2 to
twice that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import ConfigError
from data_manifests.labels import TASK_COLUMN, labelled_tasks
from data_manifests.taxonomy import MASKS, AgeCuts
from synth.plan.goals import IMAGE, Goal, count_rows, serves, target_name, train_rows
from synth.settings import SynthSettings, Target

MIN_LABELLED_SHARE = 0.5  # of the bare faces; with fewer, the label divides what little has it
# incorrect ones are rarest and most useful; images without a mask are variations of photos that are there already
ORDER = ("incorrect", "worn", "none")


def has_profiles(table: pa.Table) -> bool:
    """Return whether a real photo is a shot of a profile, as in the layout profiles."""
    real = table.filter(pc.invert(table["is_synthetic"]))
    return bool(real["shot"].null_count < real.num_rows)


def stratum_columns(table: pa.Table) -> tuple[str, ...]:
    """Return the label columns that form strata, `mask` first."""
    rows = train_rows(table).to_pandas()
    bare = rows[(rows["mask"] == "none") & ~rows["is_synthetic"]]
    known = bare[["gender", "age_class"]].notna().mean()
    return ("mask", *(name for name in ("gender", "age_class") if len(bare) and known[name] >= MIN_LABELLED_SHARE))


def image_goals(table: pa.Table, settings: SynthSettings, cuts: AgeCuts) -> Iterator[Goal]:
    """Yield the goals in single images, in the order in which to serve them."""
    if settings.targets:
        yield from _from_targets(train_rows(table), settings.targets, cuts)
        return
    columns = stratum_columns(table)
    rows = train_rows(table).to_pandas().dropna(subset=list(columns))
    counts = rows.groupby(list(columns)).size()
    if not len(counts):
        return  # no row has a known mask
    target = settings.stage * int(counts.max())
    for key in _strata(rows, columns):
        values = dict(zip(columns, key, strict=True))
        have = int(counts.get(key if len(key) > 1 else key[0], 0))
        missing = max(target - have, 0)
        name = _stratum_name(values, cuts)
        age_class = values.get("age_class")
        yield Goal(
            name, None if age_class is None else int(age_class), values.get("gender"), missing,
            f"{missing} images are requested", have, IMAGE, IMAGE, mask=values["mask"],
        )  # fmt: skip


def share_out(goals: Sequence[Goal], capacities: Sequence[int]) -> list[int]:
    """Return how many units of each goal to make, given the images that the people of its stratum can still give.

    Where they cannot give all images that the masks of a stratum ask for, the rarest mask gets images first, up to the
    next one: so the masks of a small stratum are as even as those of a large one, only fewer.
    """
    counts = [goal.wanted for goal in goals]
    groups: dict[tuple, list[int]] = {}
    for place, goal in enumerate(goals):
        if goal.unit == IMAGE:
            groups.setdefault((goal.age_class, goal.gender), []).append(place)
    for places in groups.values():
        left = capacities[places[0]]
        if sum(counts[place] for place in places) <= left:
            continue
        have = {place: goals[place].before for place in places}
        most = {place: goals[place].before + goals[place].wanted for place in places}
        for _ in range(left):
            rarest = min((place for place in places if have[place] < most[place]), key=have.__getitem__)
            have[rarest] += 1
        for place in places:
            counts[place] = have[place] - goals[place].before
    return counts


def check_no_moves(settings: SynthSettings, ref: str) -> None:
    """Raise ConfigError if ages are to be moved: that needs faces whose gender and age are both known."""
    if settings.ages.method != "none":
        raise ConfigError(
            f"ages.method={settings.ages.method} moves faces of known mask, gender and age to another age class, and "
            f"no row of {ref} has all three. Set ages.method=none."
        )


def _strata(rows: pd.DataFrame, columns: tuple[str, ...]) -> list[tuple]:
    """Return the strata: every mask with the other labels as they occur."""
    others = sorted(set(map(tuple, rows[list(columns[1:])].to_numpy().tolist()))) if len(columns) > 1 else [()]
    return [(mask, *other) for mask in ORDER for other in others]


def _stratum_name(values: dict, cuts: AgeCuts) -> str:
    parts = [f"mask {values['mask']}"]
    if "gender" in values:
        parts.append(str(values["gender"]))
    if "age_class" in values:
        parts.append(f"age {cuts.names[int(values['age_class'])]}")
    return ", ".join(parts)


def _from_targets(rows: pa.Table, targets: tuple[Target, ...], cuts: AgeCuts) -> Iterator[Goal]:
    goals: list[Goal] = []
    for target in targets:
        have = count_rows(rows, target) + sum(_adds(goal, target) for goal in goals)
        missing = max(target.pictures - have, 0)
        request = f"{target.pictures} images are requested, {have} exist or are planned"
        name = target_name(target, cuts)
        if target.age_class is None:
            name = name.removeprefix("any age").removeprefix(", ") or "any face"
        goals.append(
            Goal(name, target.age_class, target.gender, missing, request, have, IMAGE, IMAGE, mask=target.mask)
        )
        yield goals[-1]


def _adds(goal: Goal, target: Target) -> int:
    """Return the number of images of a goal that count for a later target."""
    if not serves(goal, target):
        return 0
    if target.mask is None:
        return goal.wanted
    return sum(mask_in_turn(goal, place) == target.mask for place in range(goal.wanted))


def mask_in_turn(goal: Goal, place: int) -> str:
    """Return the mask of a goal's image number `place`."""
    return goal.mask or MASKS[place % len(MASKS)]


def describe(table: pa.Table, columns: tuple[str, ...], ref: str) -> str:
    """Return text for a terminal: the labels of `ref`, what balance means for it, and the rows that count nowhere."""
    known = labelled_tasks(table)
    by = [task for task, column in TASK_COLUMN.items() if column in columns]
    text = f"{ref} has labels of {', '.join(known) or 'nothing'}: single images, balanced by {' × '.join(by)}"
    rows = train_rows(table).to_pandas()
    uncounted = int(np.count_nonzero(rows[list(columns)].isna().any(axis=1)))
    left = [task for task in known if task not in by]
    if left:
        text += f", not by {' or '.join(left)}, which most bare faces lack"
    if uncounted:
        text += f"; {uncounted} train rows lack a label of {' or '.join(by)} and are not counted"
    return text
