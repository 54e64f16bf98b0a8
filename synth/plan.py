"""What to make: a table with one row per picture, which can be read, edited and run.

A synthetic profile is one unmasked picture, five worn masks of different types and one worn wrongly, all of one real
person of the train split. Its pictures take the person's labels, `person_id` and `split`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from data_manifests.balance import shortfall, stratum_counts
from data_manifests.errors import ManifestError
from data_manifests.taxonomy import SHOT_MASK, SHOTS, AgeCuts
from synth.config import SynthSettings
from synth.seeds import seed_of

PLAN_COLUMNS = ("profile_id", "person_id", "parent_id", "shot", "mask_type", "wear", "look_seed", "seed")


@dataclass(frozen=True)
class Plan:
    """`table` has PLAN_COLUMNS; `notes` say, for people, what is wanted and what cannot be reached and why."""

    table: pd.DataFrame
    notes: list[str]


def make_plan(table: pa.Table, settings: SynthSettings, cuts: AgeCuts) -> Plan:
    """Profiles that bring each age class of the train split to its target. Raises ManifestError without a split."""
    if table.column("split").null_count == table.num_rows:
        raise ManifestError(
            "no row has a split, and synthetic people may only come from train. Run: data_manifests split"
        )
    sources = _sources(table)
    rows: list[dict[str, object]] = []
    notes = []
    for stratum in shortfall(stratum_counts(table), settings.stage).to_pylist():
        age_class, missing = stratum["age_class"], stratum["missing"]
        people = sources[sources["age_class"] == age_class]
        chosen = list(_deal(people, missing, settings))
        notes.append(_note(cuts.names[age_class], missing, len(chosen), people["person_id"].nunique(), settings))
        for person_id, parent_id, number in chosen:
            rows.extend(_profile(person_id, parent_id, f"{person_id}/s{number}", settings))
    return Plan(pd.DataFrame(rows, columns=list(PLAN_COLUMNS)), notes)


def _sources(table: pa.Table) -> pd.DataFrame:
    """Unmasked real photos of train people on which a mask can be laid; `used`: synthetic profiles they have so far."""
    columns = ["sample_id", "person_id", "profile_id", "age_class", "mask", "split", "status", "is_synthetic"]
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
    return rows.assign(used=rows["person_id"].map(used).fillna(0).astype(int))


def _deal(people: pd.DataFrame, wanted: int, settings: SynthSettings) -> Iterator[tuple[str, str, int]]:
    """Deal `wanted` profiles round the people in a seeded order: (person_id, the photo's sample_id, profile number)."""
    photos: dict[str, list[str]] = {}
    used: dict[str, int] = {}
    for row in people.sort_values("sample_id").itertuples():
        photos.setdefault(str(row.person_id), []).append(str(row.sample_id))
        used[str(row.person_id)] = int(row.used)  # type: ignore[arg-type]
    order = sorted(photos, key=lambda person: seed_of(settings.seed, "order", person))
    for turn in range(settings.max_profiles_per_person):
        for person in order:
            if wanted == 0:
                return
            number = used[person] + turn + 1
            if number <= settings.max_profiles_per_person:
                yield person, photos[person][turn % len(photos[person])], number
                wanted -= 1


def _profile(person_id: str, parent_id: str, profile_id: str, settings: SynthSettings) -> Iterator[dict[str, object]]:
    rng = np.random.default_rng(seed_of(settings.seed, profile_id))
    worn = rng.choice(settings.types, size=5, replace=len(settings.types) < 5)
    types = {"normal": "", "incorrect_mask": str(rng.choice(settings.types))}
    types |= {f"mask{i + 1}": str(mask_type) for i, mask_type in enumerate(worn)}
    wears = {"none": "", "worn": "worn", "incorrect": str(rng.choice(settings.wears))}
    for shot in SHOTS:
        yield {
            "profile_id": profile_id, "person_id": person_id, "parent_id": parent_id, "shot": shot,
            "mask_type": types[shot], "wear": wears[SHOT_MASK[shot]],
            "look_seed": seed_of(settings.seed, profile_id, "look"), "seed": seed_of(settings.seed, profile_id, shot),
        }  # fmt: skip


def _note(name: str, missing: int, planned: int, people: int, settings: SynthSettings) -> str:
    line = f"age {name}: {planned} profiles planned from {people} people"
    if planned < missing:
        line += (
            f"; {missing} are wanted, {missing - planned} cannot be reached: a person gives at most "
            f"{settings.max_profiles_per_person} (max_profiles_per_person), and only train people with an unmasked "
            "photo whose landmarks were found can give any"
        )
    return line
