"""What a correction log, taken together, says about each row: one new value, or a conflict.

For one row and field an annotator's latest word counts, and all annotators must agree. A correction that is in
conflict on one of its rows is applied on none.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from data_manifests.corrections.record import CLASS_PREFIX, FIELDS
from data_manifests.corrections.targets import (
    AGE,
    AGE_CLASS,
    NOTHING,
    TAKEN_BACK,
    WORDS,
    Claims,
    Corrections,
    matches,
)
from data_manifests.taxonomy import AgeCuts


@dataclass(frozen=True)
class Edits:
    """Values to write (K,): row, field, new code, and the position of the correction that says so."""

    row: np.ndarray
    field: np.ndarray
    new: np.ndarray
    correction: np.ndarray


@dataclass(frozen=True)
class _Talk:
    """Claims (M,) in order of group (one row and field), annotator and time."""

    correction: np.ndarray
    row: np.ndarray
    value: np.ndarray
    anchor: np.ndarray
    group: np.ndarray  # 0 to groups - 1
    groups: int
    last: np.ndarray  # an annotator's latest word in its group
    first_old: np.ndarray  # `old` of the first word of all in the group: what was there before the log
    repeats: np.ndarray  # not the first word


def resolve(
    said: Corrections, claims: Claims, cuts: AgeCuts
) -> tuple[Edits, dict[int, str], dict[int, str], dict[int, int]]:
    """Claims → edits; conflicts, what cannot be placed (both by position, with the reason), and superseded-or-counts.

    The last dictionary gives the number of rows that each correction in force changes; one that is absent from all
    three has been superseded.
    """
    talk = _in_order(said, claims)
    new = said.new[talk.correction]
    known = matches(talk.value, said.old[talk.correction], cuts) | matches(talk.value, new, cuts)
    active = talk.last & (new != TAKEN_BACK)
    disputed = _disputed(talk, new, active)
    conflicts = _disputes(said, talk, active & disputed[talk.group])
    explained = np.bincount(talk.group, known, talk.groups) > 0
    for at in np.flatnonzero(talk.anchor & talk.last & ~explained[talk.group]).tolist():
        i = int(talk.correction[at])
        got, expected = (word(int(said.field[i]), int(code)) for code in (talk.value[at], said.old[i]))
        conflicts.setdefault(i, f"{FIELDS[said.field[i]]} is {got} in the manifest, not {expected}.")

    talks = np.bincount(talk.group, active, talk.groups) > 0
    back = talk.last & ~active & talk.repeats & ~talks[talk.group]
    target = np.where(active, new, talk.first_old)
    differs = ~matches(talk.value, target, cuts)
    for at in np.flatnonzero(back & differs & (target >= AGE_CLASS)).tolist():
        conflicts.setdefault(
            int(talk.correction[at]), "the log knows the old class, not the age: say which age instead."
        )

    in_force = (active | back) & ~np.isin(talk.correction, list(conflicts))
    speaks = np.unique(talk.correction[talk.last]).tolist()
    changed = np.bincount(talk.correction[in_force & differs], minlength=len(said.field))
    placed = set(talk.correction[active | (talk.last & talk.repeats)].tolist())
    unplaced = {i: "there is nothing to take back." for i in speaks if i not in placed and i not in conflicts}
    counts = {i: int(changed[i]) for i in speaks if i not in conflicts and i not in unplaced}
    return _edits(said, talk, target, in_force & differs), conflicts, unplaced, counts


def word(field: int, code: int) -> str:
    """A code as the log writes it."""
    if code in (NOTHING, TAKEN_BACK):
        return "empty"
    if field != AGE:
        return WORDS[field][code]
    return f"{CLASS_PREFIX}{code - AGE_CLASS}" if code >= AGE_CLASS else str(code)


def _in_order(said: Corrections, claims: Claims) -> _Talk:
    keys, group = np.unique(claims.row * len(FIELDS) + said.field[claims.correction], return_inverse=True)
    annotator = said.annotator[claims.correction]
    order = np.lexsort((claims.correction, annotator, group))
    group, annotator, correction = group[order], annotator[order], claims.correction[order]
    follows = (group[1:] == group[:-1]) & (annotator[1:] == annotator[:-1])
    repeats, last = np.zeros(len(order), bool), np.ones(len(order), bool)
    repeats[1:], last[:-1] = follows, ~follows
    first = np.full(len(keys), len(said.field))
    np.minimum.at(first, group, correction)
    return _Talk(
        correction=correction,
        row=claims.row[order],
        value=claims.value[order],
        anchor=claims.anchor[order],
        group=group,
        groups=len(keys),
        last=last,
        first_old=said.old[first[group]],
        repeats=repeats,
    )


def _disputed(talk: _Talk, new: np.ndarray, active: np.ndarray) -> np.ndarray:
    """Groups (G,) in which two annotators want different values."""
    low, high = np.full(talk.groups, np.iinfo(np.int64).max), np.full(talk.groups, -1)
    np.minimum.at(low, talk.group[active], new[active])
    np.maximum.at(high, talk.group[active], new[active])
    return high > low


def _disputes(said: Corrections, talk: _Talk, where: np.ndarray) -> dict[int, str]:
    """By correction: what it says and what the others say."""
    voices: defaultdict[int, set[int]] = defaultdict(set)
    for group, i in zip(talk.group[where].tolist(), talk.correction[where].tolist(), strict=True):
        voices[group].add(i)
    others: defaultdict[int, set[int]] = defaultdict(set)
    for together in voices.values():
        for i in together:
            others[i] |= {j for j in together if said.new[j] != said.new[i]}
    names = said.table["annotator"].to_pylist()

    def says(i: int) -> str:
        return f"{names[i]} says {word(int(said.field[i]), int(said.new[i]))}"

    return {i: f"{says(i)}; {', '.join(says(j) for j in sorted(against))}." for i, against in others.items()}


def _edits(said: Corrections, talk: _Talk, target: np.ndarray, where: np.ndarray) -> Edits:
    at = np.flatnonzero(where)
    at = at[np.lexsort((-talk.correction[at], talk.group[at]))]  # of those who agree, the latest signs
    at = at[np.diff(talk.group[at], prepend=-1) > 0]
    correction = talk.correction[at]
    return Edits(talk.row[at], said.field[correction], target[at], correction)
