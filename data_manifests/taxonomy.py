"""The labels, and the 18 classes of mask × gender × age class. No other module computes a class from an age.

`class_id = mask * 6 + gender * 3 + age_class`, where each part is a position in the tuples below. The ages at which the
middle and the old class begin are a setting of each manifest: 30 and 60 as published, 30 and 58 in a known training
recipe, 45 and 60 for data sets with few people under 30.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import ManifestError

MASKS = ("worn", "incorrect", "none")
GENDERS = ("male", "female")
N_AGE_CLASSES = 3
N_CLASSES = len(MASKS) * len(GENDERS) * N_AGE_CLASSES

MIN_AGE, MAX_AGE = 0, 116  # years; the range of UTKFace, the widest of all layouts

SHOTS = ("normal", "mask1", "mask2", "mask3", "mask4", "mask5", "incorrect_mask")
SHOT_MASK = {
    "normal": "none",
    **{f"mask{i}": "worn" for i in range(1, 6)},
    "incorrect_mask": "incorrect",
}


@dataclass(frozen=True)
class AgeCuts:
    """The first age (years) of the middle and of the old age class."""

    middle: int = 30
    old: int = 60

    def __post_init__(self) -> None:
        if not MIN_AGE < self.middle < self.old <= MAX_AGE:
            raise ManifestError(
                f"age cuts must increase within {MIN_AGE} to {MAX_AGE}, such as 30,60. "
                f"Got {self.middle},{self.old} instead."
            )

    @classmethod
    def parse(cls, text: str) -> AgeCuts:
        """Return the cuts in "30,60" or "30/60". Raises ManifestError."""
        try:
            middle, old = (int(part) for part in text.replace("/", ",").split(","))
        except ValueError:
            raise ManifestError(f"age cuts must be two whole numbers such as 30,60. Got {text!r} instead.") from None
        return cls(middle, old)

    def bounds(self, age_class: int) -> tuple[int, int]:
        """Return the first and last age (years, both inclusive) of an age class."""
        edges = (MIN_AGE, self.middle, self.old, MAX_AGE + 1)
        return edges[age_class], edges[age_class + 1] - 1

    @property
    def starts(self) -> tuple[int, int]:
        """First age of the middle and of the old class as a tuple, for charts and `np.digitize`."""
        return self.middle, self.old

    @property
    def names(self) -> tuple[str, str, str]:
        """Names of the classes in ASCII, for files: "<30", "30-59", ">=60"."""
        return f"<{self.middle}", f"{self.middle}-{self.old - 1}", f">={self.old}"

    @property
    def display_names(self) -> tuple[str, str, str]:
        """Names of the classes for display: "<30", "30–59", "≥60"."""
        return f"<{self.middle}", f"{self.middle}–{self.old - 1}", f"≥{self.old}"

    def as_json(self) -> list[dict[str, Any]]:
        """Return display name, first and last age of each class, for the scripts of the app's pages."""
        bounds = [self.bounds(age_class) for age_class in range(N_AGE_CLASSES)]
        named = zip(self.display_names, bounds, strict=True)
        return [{"name": name, "first": first, "last": last} for name, (first, last) in named]


def age_class_of(age: Any, cuts: AgeCuts) -> Any:
    """Return the age class (0, 1 or 2) of an age in years, or of each age of an array.

    `age` is a number, a NumPy array, a tensor, or an Arrow array; the result is of the same type: int, int64 array,
    int64 tensor, or int8 Arrow array with null for null. Arrays must not contain NaN.
    """
    if isinstance(age, pa.Array | pa.ChunkedArray):
        middle = pc.cast(pc.greater_equal(age, cuts.middle), pa.int8())
        return pc.add(middle, pc.cast(pc.greater_equal(age, cuts.old), pa.int8()))
    return (age >= cuts.middle) * 1 + (age >= cuts.old) * 1


def class_id_of(
    mask: pa.Array | pa.ChunkedArray,
    gender: pa.Array | pa.ChunkedArray,
    age_class: pa.Array | pa.ChunkedArray,
) -> pa.Array | pa.ChunkedArray:
    """Return the class (0 to 17, int8) of labels; null where any of the three is null."""
    code = pc.multiply(pc.index_in(mask, pa.array(MASKS)), 6)
    code = pc.add(code, pc.multiply(pc.index_in(gender, pa.array(GENDERS)), 3))
    return pc.cast(pc.add(code, pc.cast(age_class, pa.int32())), pa.int8())


def split_class_id(class_id: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mask, gender and age class of classes (N,), each (N,)."""
    return class_id // 6, class_id // 3 % 2, class_id % 3


def class_names(cuts: AgeCuts) -> list[str]:
    """Return the 18 names in order of `class_id`, such as "worn male <30"."""
    return [f"{mask} {gender} {age}" for mask in MASKS for gender in GENDERS for age in cuts.names]
