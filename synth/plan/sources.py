"""The faces that a plan starts from, why other photos cannot be used, and the allocation of pictures to people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from data_manifests.errors import StageError
from data_manifests.schema import USABLE
from pipeline.progress import counted
from synth.seeds import derive_seed
from synth.settings import SynthSettings

_COLUMNS = ["sample_id", "person_id", "profile_id", "gender", "age", "age_class", "mask", "split", "status",
            "is_synthetic", "width_px", "height_px"]  # fmt: skip


_UNKNOWN_MASK = "with an unknown mask that may show one (if none does, ingest with --mask none)"
_MASKED = "with a mask"
_UNUSABLE = "failed or excluded"


class NothingToBalance(StageError):
    """No photo of a set is known to be bare, so no image can be made; no other stage would change this."""


@dataclass(frozen=True)
class Sources:
    """Bare faces of the train split: real, unmasked photos with landmarks, whose labels the plan needs are known.

    `faces` has their rows, with `used`, the number of the person's synthetic profiles so far; `left_out` counts the
    other real train photos by the reason.
    """

    faces: pd.DataFrame
    left_out: dict[str, int]

    def reasons(self) -> str:
        """Return the counts of `left_out` as text, empty if nothing is left out."""
        return "; ".join(f"{counted(count, 'train photo')} {reason}" for reason, count in self.left_out.items())

    @property
    def can_be_none(self) -> bool:
        """True if no photo is known to be bare; False where bare photos only lack landmarks or another label."""
        return self.faces.empty and self.left_out.keys() <= {_UNKNOWN_MASK, _MASKED, _UNUSABLE} and bool(self.left_out)

    def note(self) -> str:
        """Return one line for a terminal, empty if every photo is a source."""
        return (
            f"sources: {counted(len(self.faces), 'train photo')}; left out: {self.reasons()}" if self.left_out else ""
        )


def find_sources(table: pa.Table, needed: tuple[str, ...], ref: str) -> Sources:
    """Return the sources of a plan whose rows need the label columns `needed`, such as ("gender", "age_class")."""
    rows = table.select(_COLUMNS).to_pandas()
    rows["landmarks"] = table.column("landmarks_xy").to_pandas()
    used = rows[rows["is_synthetic"]].groupby("person_id")["profile_id"].nunique()
    rows = rows[~rows["is_synthetic"] & (rows["split"] == "train")]
    is_usable = rows["status"].isin(USABLE)
    unlabelled = rows[list(needed)].isna().any(axis=1)
    names = " or ".join(name.removesuffix("_class") for name in needed)
    # a row counts for the first reason that holds
    reasons = {
        _UNUSABLE: ~is_usable,
        _UNKNOWN_MASK: rows["mask"].isna(),
        _MASKED: rows["mask"] != "none",
        f"without landmarks (run: facecurate preprocess run {ref})": rows["landmarks"].isna(),
        "with a guessed face (status fallback)": rows["status"] != "ok",  # a mask would be misplaced
        f"without a label of {names}": unlabelled,
    }
    first = np.select(list(reasons.values()), list(reasons), "")
    left_out = {reason: int((first == reason).sum()) for reason in reasons}
    faces = rows[first == ""]
    faces = faces.assign(used=faces["person_id"].map(used).fillna(0).astype(int)).sort_values("sample_id")
    return Sources(faces, {reason: count for reason, count in left_out.items() if count})


def select_faces(faces: pd.DataFrame, age_class: int | None, gender: str | None) -> pd.DataFrame:
    """Return the faces of one age class and gender; None stands for any."""
    if age_class is not None:
        faces = faces[faces["age_class"] == age_class]
    return faces if gender is None else faces[faces["gender"] == gender]


@dataclass(frozen=True)
class Allocation:
    """One synthetic profile to make: its person, the row of `Sources.faces`, its number, and `from_age` if moved."""

    person_id: str
    photo: Any
    number: int
    from_age: int | None = None

    @property
    def profile_id(self) -> str:
        """Id of the profile."""
        return f"{self.person_id}/s{self.number}"


class Allocator:
    """Allocates profiles to people in turn, in a seeded order, up to the maximum per person over all goals."""

    def __init__(self, faces: pd.DataFrame, settings: SynthSettings) -> None:
        self.faces, self._max = faces, settings.max_profiles_per_person
        self._used: dict[str, int] = {str(row.person_id): int(row.used) for row in faces.itertuples()}  # type: ignore[arg-type]
        order = sorted(self._used, key=lambda person: derive_seed(settings.seed, "order", person))
        self._rank = {person: rank for rank, person in enumerate(order)}

    def capacity(self, faces: pd.DataFrame) -> int:
        """Return how many profiles the people of these faces can still give."""
        return sum(max(self._max - self._used[str(person)], 0) for person in faces["person_id"].unique())

    def allocate(
        self, faces: pd.DataFrame, count: int, *, moved: bool = False, least_used_first: bool = False
    ) -> Iterator[Allocation]:
        """Yield at most `count` profiles of these faces: the people in turn, and each person's photos in turn."""
        photos: dict[str, list[Any]] = {}
        for row in faces.itertuples():
            photos.setdefault(str(row.person_id), []).append(row)
        turn, left = sorted(photos, key=self._rank.__getitem__), count
        if least_used_first:
            turn.sort(key=self._used.__getitem__)  # stable: in seeded order among equals
        while left > 0 and turn:
            turn = [person for person in turn if self._used[person] < self._max]
            for person in turn[:left]:
                photo = photos[person][self._used[person] % len(photos[person])]
                self._used[person] += 1
                yield Allocation(person, photo, self._used[person], int(photo.age) if moved else None)
            left -= min(left, len(turn))
