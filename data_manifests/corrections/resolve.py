"""One new value, or a conflict, for each row that corrections are about.

An annotator's latest annotation of a row and field counts, and all annotators must agree. A correction that is in
conflict on one of its rows is applied to none.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from data_manifests.corrections.annotations import GroupedClaims, claims_by_group
from data_manifests.corrections.encoding import AGE_CLASS, WITHDRAWN, EncodedCorrections, matches, value_text
from data_manifests.corrections.record import FIELDS
from data_manifests.corrections.targets import Claims
from data_manifests.taxonomy import AgeCuts


@dataclass(frozen=True)
class Edits:
    """Values to write (K,): row, field, new code, and the position of the correction that gives it."""

    row: np.ndarray
    field: np.ndarray
    new: np.ndarray
    correction: np.ndarray


@dataclass(frozen=True)
class Resolution:
    """The edits, and by position of a correction why it is in conflict or has no effect, or how many rows it changes.

    A correction that is in none of the three dictionaries is superseded by later ones.
    """

    edits: Edits
    conflicts: dict[int, str]
    unplaced: dict[int, str]
    rows_changed: dict[int, int]


def resolve(corrections: EncodedCorrections, claims: Claims, cuts: AgeCuts) -> Resolution:
    """Resolve claims to edits."""
    keys = claims.row * len(FIELDS) + corrections.field[claims.correction]
    grouped = claims_by_group(keys, corrections.annotator[claims.correction], claims.correction)
    claims = Claims(*(array[grouped.order] for array in vars(claims).values()))
    new = corrections.new[claims.correction]
    active = grouped.is_latest & (new != WITHDRAWN)
    conflicts = _disagreements(corrections, claims, grouped, active)
    conflicts = _mismatches(corrections, claims, grouped, cuts) | conflicts

    has_active = grouped.has_active(active)
    withdrawn = grouped.is_latest & ~active & grouped.is_repeat & ~has_active[grouped.group]
    target = np.where(active, new, _first_old(corrections, claims, grouped))
    differs = ~matches(claims.value, target, cuts)
    for at in np.flatnonzero(withdrawn & differs & (target >= AGE_CLASS)).tolist():
        reason = "the log holds the old class, not the age: correct the age instead of withdrawing."
        conflicts.setdefault(int(claims.correction[at]), reason)

    in_force = (active | withdrawn) & ~np.isin(claims.correction, list(conflicts))
    latest = np.unique(claims.correction[grouped.is_latest]).tolist()
    changed = np.bincount(claims.correction[in_force & differs], minlength=len(corrections.field))
    placed = set(claims.correction[active | (grouped.is_latest & grouped.is_repeat)].tolist())
    unplaced = {i: "there is nothing to take back." for i in latest if i not in placed and i not in conflicts}
    counts = {i: int(changed[i]) for i in latest if i not in conflicts and i not in unplaced}
    return Resolution(_edits(corrections, claims, grouped, target, in_force & differs), conflicts, unplaced, counts)


def _first_old(corrections: EncodedCorrections, claims: Claims, grouped: GroupedClaims) -> np.ndarray:
    """Return for each claim (M,) the `old` of the first event of its group: the value from before the log."""
    first = np.full(grouped.groups, len(corrections.field))
    np.minimum.at(first, grouped.group, claims.correction)
    return corrections.old[first[grouped.group]]


def _disagreements(
    corrections: EncodedCorrections, claims: Claims, grouped: GroupedClaims, active: np.ndarray
) -> dict[int, str]:
    """Return, by correction, the values that two annotators gave to one row where they differ."""
    new = corrections.new[claims.correction]
    low, high = np.full(grouped.groups, np.iinfo(np.int64).max), np.full(grouped.groups, -1)
    np.minimum.at(low, grouped.group[active], new[active])
    np.maximum.at(high, grouped.group[active], new[active])
    where = active & (high > low)[grouped.group]
    members: defaultdict[int, set[int]] = defaultdict(set)
    for group, i in zip(grouped.group[where].tolist(), claims.correction[where].tolist(), strict=True):
        members[group].add(i)
    others: defaultdict[int, set[int]] = defaultdict(set)
    for together in members.values():
        for i in together:
            others[i] |= {j for j in together if corrections.new[j] != corrections.new[i]}
    names = corrections.table["annotator"].to_pylist()
    texts = {
        i: f"{names[i]}: {value_text(int(corrections.field[i]), int(corrections.new[i]))}"
        for together in members.values()
        for i in together
    }
    return {
        i: f"{'; '.join([texts[i], *(texts[j] for j in sorted(against))])}. Annotators must agree."
        for i, against in others.items()
    }


def _mismatches(
    corrections: EncodedCorrections, claims: Claims, grouped: GroupedClaims, cuts: AgeCuts
) -> dict[int, str]:
    """Return, by correction, the value in the manifest where neither `old` nor an event of the log explains it."""
    old, new = corrections.old[claims.correction], corrections.new[claims.correction]
    known = matches(claims.value, old, cuts) | matches(claims.value, new, cuts)
    explained = grouped.has_active(known)
    found: dict[int, str] = {}
    for at in np.flatnonzero(claims.anchor & grouped.is_latest & ~explained[grouped.group]).tolist():
        i = int(claims.correction[at])
        field = int(corrections.field[i])
        got, expected = (value_text(field, int(code)) for code in (claims.value[at], corrections.old[i]))
        found.setdefault(i, f"{FIELDS[field]} is {got} in the manifest, not {expected}.")
    return found


def _edits(
    corrections: EncodedCorrections, claims: Claims, grouped: GroupedClaims, target: np.ndarray, where: np.ndarray
) -> Edits:
    at = np.flatnonzero(where)
    at = at[np.lexsort((-claims.correction[at], grouped.group[at]))]  # of several that agree, the latest is noted
    at = at[np.diff(grouped.group[at], prepend=-1) > 0]
    correction = claims.correction[at]
    return Edits(claims.row[at], corrections.field[correction], target[at], correction)
