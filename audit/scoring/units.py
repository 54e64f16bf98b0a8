"""What a label belongs to: gender and age to a profile, all of whose shots are evidence; a mask state to one photo.

The shots of a profile are taken in one session. Photos that are no shots may be years apart, so there the photos of
one person that carry one age belong together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from audit.scoring.linear_probe import standardise
from data_manifests.versions import WORKSPACE_ROOT


@dataclass(frozen=True)
class Units:
    """Profiles with at least one face. `places` (P,) gives each place of the features its unit, -1 without a face."""

    names: np.ndarray  # (U,) profile_id, with the age where photos were not taken as shots of one session
    persons: np.ndarray  # (U,) integers, equal for profiles of one person
    features: np.ndarray  # (U, D) float32, rows of length about 1
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.names)


def join(*blocks: np.ndarray) -> np.ndarray:
    """Standardised blocks side by side with equal say."""
    return np.hstack([standardise(block) for block in blocks]) / np.float32(len(blocks) ** 0.5)


def make_units(rows: pd.DataFrame, identity: np.ndarray, *others: np.ndarray) -> Units:
    """Pool the photos of each profile. `rows` has profile_id, person_id, shot, mask and age.

    Vectors (P, …) side by side; photos whose identity is NaN have no face and are left out. A mask shifts every vector,
    so each mask state is centred on its own mean before photos are averaged.
    """
    seen = np.isfinite(identity[:, 0]) if identity.shape[1] else np.zeros(len(rows), bool)
    taken = np.where(rows["shot"].isna() & rows["age"].notna(), " at " + rows["age"].astype(str), "")
    codes, names = pd.factorize((rows["profile_id"].astype(object) + taken).where(seen), use_na_sentinel=True)
    if not len(names):
        return Units(np.array([], object), np.array([], int), np.empty((0, 0), np.float32), codes)
    state = pd.factorize(rows["mask"].fillna(""))[0]
    blocks = [_mean_of(block, codes, state) for block in (identity, *others)]
    person_of = rows["person_id"].to_numpy()[seen][np.unique(codes[seen], return_index=True)[1]]
    return Units(np.asarray(names), pd.factorize(person_of)[0], join(*blocks), codes)


def _mean_of(vectors: np.ndarray, codes: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Means (U, D) of the vectors (P, D) of each code, each less the mean of its state; codes of -1 are left out.

    As products with sparse matrices: the vectors of all photos are large, and no copy of them is made.
    """
    seen = np.flatnonzero(codes >= 0)
    of_unit, of_state = (_indicator(values[seen], seen, len(codes)) for values in (codes, states))
    means = (of_state @ vectors) / np.maximum(of_state.sum(axis=1), 1)[:, None]
    share = (of_unit @ of_state.T).toarray()  # (U, S) photos of each state
    return np.asarray((of_unit @ vectors - share @ means) / of_unit.sum(axis=1)[:, None], np.float32)


def _indicator(values: np.ndarray, places: np.ndarray, width: int) -> csr_array:
    """(max + 1, width) with a one at each (value, place)."""
    ones = np.ones(len(places), np.float32)
    return csr_array((ones, (values, places)), shape=(int(values.max()) + 1, width))


def label_of(values: pd.Series, units: Units) -> tuple[np.ndarray, np.ndarray]:
    """The commonest value (U,) of a column in each unit (None without any) and whether the photos disagree (U,)."""
    seen = units.places >= 0
    frame = pd.DataFrame({"unit": units.places[seen], "value": values.to_numpy(object)[seen]}).dropna()
    counts = frame.value_counts(["unit", "value"]).reset_index()
    label = np.full(len(units), None, object)
    best = counts.sort_values(["unit", "count", "value"], ascending=[True, False, True]).drop_duplicates("unit")
    label[best["unit"].to_numpy(int)] = best["value"].to_numpy(object)
    mixed = np.bincount(counts["unit"].to_numpy(int), minlength=len(units)) > 1
    return label, mixed


def differs_within_profile(values: pd.Series, profiles: pd.Series, units: Units) -> np.ndarray:
    """Units (U,) of profiles whose photos carry more than one value."""
    mixed = values.groupby(profiles).transform("nunique").to_numpy() > 1
    seen = units.places >= 0
    found = np.zeros(len(units), bool)
    np.logical_or.at(found, units.places[seen], mixed[seen])
    return found


def photo_name(row: Mapping[Any, Any] | pd.Series) -> str:
    """The shot, or the file's name where there are no shots; of a picture made here, named by a hash, its beginning."""
    if isinstance(row["shot"], str):
        return row["shot"]
    file = str(row["path"]).rsplit("/", 1)[-1]
    return f"picture {file[:8]}" if row["root"] == WORKSPACE_ROOT else file
