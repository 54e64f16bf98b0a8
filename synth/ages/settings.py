"""Settings of age moves, and the target age of a moved image."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from data_manifests.errors import ConfigError
from data_manifests.taxonomy import N_AGE_CLASSES, AgeCuts
from pipeline.settings import Settings
from synth.ages.learn import MIN_PEOPLE
from synth.ages.move import MAX_STRENGTH


class AgeSettings(Settings):
    """Settings of age moves: the method, the pairs of age classes, and the strength.

    `moves` are pairs (source, target) of age classes 0 to 2. A user's own network needs `network_path`; its inputs are
    square crops of `network_size_px` in [low, high] and ages in units of `age_unit_years`.
    """

    method: Literal["none", "prototypes", "torchscript", "onnx"] = "none"
    moves: tuple[tuple[int, int], ...] = ((1, 2),)
    share: float = Field(default=0.5, ge=0, le=1)  # of a class's synthetic profiles; the rest are people of that class
    strength: float = Field(default=1.2, gt=0, le=MAX_STRENGTH)
    min_people: int = Field(default=MIN_PEOPLE, ge=2)
    network_path: str = ""
    network_size_px: int = Field(default=256, ge=16)
    low: float = -1.0
    high: float = 1.0
    age_unit_years: float = Field(default=100.0, gt=0)

    @field_validator("moves")
    @classmethod
    def _check_moves(cls, value: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        for source, target in value:
            if source == target or not {source, target} <= set(range(N_AGE_CLASSES)):
                raise ConfigError(
                    f"synth.ages.moves must be pairs of different age classes 0 to {N_AGE_CLASSES - 1}. "
                    f"Got {[source, target]} instead."
                )
        return value


def sample_target_age(
    ages_of_class: NDArray[np.integer], age_class: int, cuts: AgeCuts, rng: np.random.Generator
) -> int:
    """Draw the age label of a moved image, years: the age of a random real person of the target class.

    Moved people then have the age distribution of the class, not a uniform one up to 116. Without real ages, draw
    within ten years of the class's first adult age.
    """
    low, high = cuts.bounds(age_class)
    known = ages_of_class[(ages_of_class >= low) & (ages_of_class <= high)]
    if len(known):
        return int(rng.choice(known))
    first = max(low, min(18, high))
    return int(rng.integers(first, min(first + 9, high) + 1))
