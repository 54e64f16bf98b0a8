"""Groups of photos that share one gender and one age label.

The shots of a profile are taken in one session and form one group. Photos that are not shots may be years apart, so
there the photos of one profile with one age form a group.
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
class LabelGroups:
    """Groups (U) with at least one face. `group_of_photo` (P,) is the group of each photo, -1 without a face."""

    names: np.ndarray  # (U,) profile_id, followed by the age for photos that are not shots
    persons: np.ndarray  # (U,) integers, equal for groups of one person
    features: np.ndarray  # (U, D) float32, rows of length about 1
    group_of_photo: np.ndarray

    def __len__(self) -> int:
        return len(self.names)


def join_standardised(*blocks: np.ndarray) -> np.ndarray:
    """Return standardised blocks (N, …) side by side, with equal weight whatever their widths."""
    return np.hstack([standardise(block) for block in blocks]) / np.float32(len(blocks) ** 0.5)


def group_photos(rows: pd.DataFrame, identity: np.ndarray, *others: np.ndarray) -> LabelGroups:
    """Average the vectors (P, …) of each group. `rows` has profile_id, person_id, shot, mask and age.

    Photos whose identity is NaN have no face and are left out. A mask shifts every vector, so each mask state is
    centred on its own mean before photos are averaged.
    """
    has_face = np.isfinite(identity[:, 0]) if identity.shape[1] else np.zeros(len(rows), bool)
    age_suffix = np.where(rows["shot"].isna() & rows["age"].notna(), " at " + rows["age"].astype(str), "")
    codes, names = pd.factorize((rows["profile_id"].astype(object) + age_suffix).where(has_face), use_na_sentinel=True)
    if not len(names):
        return LabelGroups(np.array([], object), np.array([], int), np.empty((0, 0), np.float32), codes)
    state = pd.factorize(rows["mask"].fillna(""))[0]
    blocks = [_group_means(block, codes, state) for block in (identity, *others)]
    person_ids = rows["person_id"].to_numpy()[has_face][np.unique(codes[has_face], return_index=True)[1]]
    return LabelGroups(np.asarray(names), pd.factorize(person_ids)[0], join_standardised(*blocks), codes)


def _group_means(vectors: np.ndarray, codes: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Return the means (U, D) of the vectors (P, D) of each code, each less the mean of its state; -1 is left out.

    Products with sparse matrices avoid a copy of the vectors of all photos, which are large.
    """
    used = np.flatnonzero(codes >= 0)
    of_group, of_state = (_indicator(values[used], used, len(codes)) for values in (codes, states))
    means = (of_state @ vectors) / np.maximum(of_state.sum(axis=1), 1)[:, None]
    share = (of_group @ of_state.T).toarray()  # (U, S) photos of each state
    return np.asarray((of_group @ vectors - share @ means) / of_group.sum(axis=1)[:, None], np.float32)


def _indicator(values: np.ndarray, positions: np.ndarray, width: int) -> csr_array:
    """Return a matrix (max + 1, width) with a one at each (value, position)."""
    ones = np.ones(len(positions), np.float32)
    return csr_array((ones, (values, positions)), shape=(int(values.max()) + 1, width))


def majority_labels(values: pd.Series, groups: LabelGroups) -> tuple[np.ndarray, np.ndarray]:
    """Return the commonest value (U,) of a column in each group, None without any, and groups with several (U,)."""
    used = groups.group_of_photo >= 0
    frame = pd.DataFrame({"group": groups.group_of_photo[used], "value": values.to_numpy(object)[used]}).dropna()
    counts = frame.value_counts(["group", "value"]).reset_index()
    label = np.full(len(groups), None, object)
    best = counts.sort_values(["group", "count", "value"], ascending=[True, False, True]).drop_duplicates("group")
    label[best["group"].to_numpy(int)] = best["value"].to_numpy(object)
    inconsistent = np.bincount(counts["group"].to_numpy(int), minlength=len(groups)) > 1
    return label, inconsistent


def inconsistent_groups(values: pd.Series, profiles: pd.Series, groups: LabelGroups) -> np.ndarray:
    """Return the groups (U,) bool that belong to profiles whose photos have more than one value."""
    inconsistent = values.groupby(profiles).transform("nunique").to_numpy() > 1
    used = groups.group_of_photo >= 0
    found = np.zeros(len(groups), bool)
    np.logical_or.at(found, groups.group_of_photo[used], inconsistent[used])
    return found


def photo_name(row: Mapping[Any, Any] | pd.Series) -> str:
    """Return the shot, or the file name without one; of a workspace picture, named by a hash, the first digits."""
    if isinstance(row["shot"], str):
        return row["shot"]
    file = str(row["path"]).rsplit("/", 1)[-1]
    return f"picture {file[:8]}" if row["root"] == WORKSPACE_ROOT else file
