"""What a trained network says of the same photos, as further evidence for the probes.

    python -m train folds REF …                                     writes out_of_fold.parquet
    python -m audit run REF --predictions out_of_fold.parquet

The table (Parquet or CSV) has `sample_id` and p_00 … p_17, the probabilities of the 18 classes. They must be *out of
fold*: of a network that has not seen the person, or it says again what is filed. Its log odds become one more block of
columns of the probes (stacking, Wolpert 1992), so how far to believe it is learned from this set and not assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from data_manifests.errors import ConfigError
from data_manifests.taxonomy import N_CLASSES, split_class_id
from data_manifests.versions import file_sha256

COLUMNS = [f"p_{class_id:02d}" for class_id in range(N_CLASSES)]
LEAST = 1e-3  # no network makes a probe surer than this


@dataclass(frozen=True)
class Predictions:
    """Log odds of some photos, float32: `people` (P, 3) of gender and of the two age cuts, `mask` (P, 2) of worn and of
    incorrect against none. Photos that are not `known` (P,) to the file have the mean of the others."""

    people: np.ndarray
    mask: np.ndarray
    known: np.ndarray
    sha256: str

    def take(self, places: np.ndarray) -> Predictions:
        """Those of some of the photos."""
        return Predictions(self.people[places], self.mask[places], self.known[places], self.sha256)


def read_predictions(path: Path, sample_ids: Sequence[str]) -> Predictions:
    """Predictions of some photos. Raises ConfigError for a file that is none, or is about other photos."""
    probability = _table(path).reindex(list(sample_ids)).to_numpy(float)
    known = np.isfinite(probability).all(axis=1)
    if not known.any():
        raise ConfigError(f"{path} is about other photos: none of its sample_id is among the {len(sample_ids)} here.")
    off = np.abs(probability[known].sum(axis=1) - 1).max()
    if probability[known].min() < 0 or off > 0.01:
        raise ConfigError(
            f"{COLUMNS[0]} to {COLUMNS[-1]} of {path} are no probabilities: a row's sum is off by {off:.2f}."
        )
    people, mask = log_odds(probability)
    return Predictions(_fill(people), _fill(mask), known, file_sha256(path))


def log_odds(probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (P, 18) → (P, 3): female, not young, old against their opposites; (P, 2): worn, incorrect
    against none."""
    mask, gender, age = split_class_id(np.arange(N_CLASSES))

    def of(chosen: np.ndarray) -> np.ndarray:
        return np.asarray(np.log(np.clip(probability[:, chosen].sum(axis=1), LEAST, 1)))

    people = [of(gender == 1) - of(gender == 0), of(age > 0) - of(age == 0), of(age == 2) - of(age < 2)]
    return np.column_stack(people), np.column_stack([of(mask == state) - of(mask == 2) for state in (0, 1)])


def _table(path: Path) -> pd.DataFrame:
    if path.suffix not in (".parquet", ".csv") or not path.is_file():
        raise ConfigError(f"--predictions must be a .parquet or .csv file. Got {str(path)!r} instead.")
    table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype={"sample_id": str})
    absent = [name for name in ("sample_id", *COLUMNS) if name not in table]
    if absent:
        raise ConfigError(f"{path} has no column {', '.join(absent)}. Made by: python -m train folds REF")
    if table["sample_id"].duplicated().any():
        twice = table["sample_id"][table["sample_id"].duplicated()].iloc[0]
        raise ConfigError(f"{path} has {twice!r} more than once; one row a photo is allowed.")
    return table.set_index("sample_id")[COLUMNS]


def _fill(columns: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(columns), columns, np.nanmean(columns, axis=0)).astype(np.float32)
