"""Out-of-fold predictions of a trained network, as further evidence for the probes.

    facecurate train folds REF …                                     writes out_of_fold.parquet
    facecurate audit run REF --predictions out_of_fold.parquet

The table (Parquet or CSV) has `sample_id` and p_00 … p_17, the probabilities of the 18 classes. They must be *out of
fold*: from a network that was trained without the person, otherwise it repeats the given labels. The log odds become
one more block of columns of the probes (stacking, Wolpert 1992), so their weight is learned from this set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from data_manifests.errors import ConfigError
from data_manifests.files import read_csv_frame, read_parquet
from data_manifests.taxonomy import N_CLASSES, split_class_id
from data_manifests.versions import file_sha256

COLUMNS = [f"p_{class_id:02d}" for class_id in range(N_CLASSES)]
MIN_PROBABILITY = 1e-3  # bounds the weight of an overconfident network


@dataclass(frozen=True)
class LogOdds:
    """Predicted log odds of P photos, float32.

    `gender_age` (P, 3): female, not young and old against their opposites; `mask` (P, 2): worn and incorrect against
    none. Photos that the file does not list (`known` (P,) False) have the mean of the others.
    """

    gender_age: np.ndarray
    mask: np.ndarray
    known: np.ndarray
    sha256: str

    def take(self, positions: np.ndarray) -> LogOdds:
        """Return the log odds of some of the photos."""
        return LogOdds(self.gender_age[positions], self.mask[positions], self.known[positions], self.sha256)


def read_predictions(path: Path, sample_ids: Sequence[str]) -> LogOdds:
    """Read the predictions of some photos. Raises ConfigError for a file of another form or about other photos."""
    probability = _read_table(path).reindex(list(sample_ids)).to_numpy(float)
    known = np.isfinite(probability).all(axis=1)
    if not known.any():
        raise ConfigError(
            f"{path} is about other photos: none of its sample_id is among the {len(sample_ids)} of this manifest. "
            "Run facecurate train folds on this manifest."
        )
    error = np.abs(probability[known].sum(axis=1) - 1).max()
    if probability[known].min() < 0 or error > 0.01:
        raise ConfigError(
            f"{COLUMNS[0]} to {COLUMNS[-1]} of {path} are no probabilities: values must be 0 or more and sum to 1. "
            f"Got a sum that differs by {error:.2f}."
        )
    gender_age, mask = log_odds(probability)
    return LogOdds(_fill(gender_age), _fill(mask), known, file_sha256(path))


def log_odds(probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the log odds (P, 3) and (P, 2) of `LogOdds` for class probabilities (P, 18)."""
    mask, gender, age = split_class_id(np.arange(N_CLASSES))

    def log_sum(chosen: np.ndarray) -> np.ndarray:
        return np.asarray(np.log(np.clip(probability[:, chosen].sum(axis=1), MIN_PROBABILITY, 1)))

    gender_age = [
        log_sum(gender == 1) - log_sum(gender == 0),
        log_sum(age > 0) - log_sum(age == 0),
        log_sum(age == 2) - log_sum(age < 2),
    ]
    states = [log_sum(mask == state) - log_sum(mask == 2) for state in (0, 1)]
    return np.column_stack(gender_age), np.column_stack(states)


def _read_table(path: Path) -> pd.DataFrame:
    if path.suffix not in (".parquet", ".csv") or not path.is_file():
        raise ConfigError(f"--predictions must be a .parquet or .csv file. Got {str(path)!r} instead.")
    if path.suffix == ".parquet":
        table = read_parquet(path, error=ConfigError).to_pandas()
    else:
        table = read_csv_frame(path, ["sample_id"], error=ConfigError)
    absent = [name for name in ("sample_id", *COLUMNS) if name not in table]
    if absent:
        raise ConfigError(f"{path} has no column {', '.join(absent)}. Write the file with: facecurate train folds REF")
    if table["sample_id"].duplicated().any():
        repeated = table["sample_id"][table["sample_id"].duplicated()].iloc[0]
        raise ConfigError(f"{path} has {repeated!r} more than once; one row per photo is allowed.")
    return table.set_index("sample_id")[COLUMNS]


def _fill(columns: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(columns), columns, np.nanmean(columns, axis=0)).astype(np.float32)
