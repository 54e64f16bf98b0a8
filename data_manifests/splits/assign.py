"""Who trains, who validates: person-disjoint, stratified, and stable when people are added.

Photos of one person never stand in two splits: a network that has seen the face would be examined on what it
remembers. Within each stratum (gender × age class of the person) every split gets its share to within one person, and
the remainders are dealt out so that the totals come close too. People who have a split keep it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import ConfigError, ManifestError, must_be_one_of
from data_manifests.schema import SPLITS
from data_manifests.taxonomy import GENDERS, N_AGE_CLASSES

EIGHT_TO_TWO = {"train": 0.8, "val": 0.2}
MAX_FOLDS = 100
_NONE = -1


@dataclass(frozen=True)
class _People:
    """The persons (P,) in order of name, and for every row (N,) which of them it shows."""

    names: np.ndarray
    of_row: np.ndarray
    stratum: np.ndarray


def assign_splits(
    table: pa.Table, *, ratios: Mapping[str, float] = EIGHT_TO_TWO, folds: int | None = None, seed: int = 0
) -> pa.Table:
    """Give every row its person's split, and with `folds` its person's fold (0 to folds - 1; none for `test`).

    A split or fold that a person has already is kept: drop the column first to deal anew. Who is taken first follows
    from a hash of seed and `person_id`, so neither the order of rows nor other people matter.
    Raises ConfigError for ratios that are not shares of 1, ManifestError for a person in two splits.
    """
    shares = _shares(ratios)
    if folds is not None and not 2 <= folds <= MAX_FOLDS:
        raise ConfigError(f"folds must be within 2 and {MAX_FOLDS}. Got {folds} instead.")
    people = _people(table)
    turn = _turn(people.names, seed)
    split_codes = pc.fill_null(pc.index_in(table["split"], pa.array(SPLITS)), _NONE).to_numpy()
    split = _deal(people.stratum, _kept("split", split_codes, people), shares, turn)
    words = pa.array(SPLITS).take(pa.array(split[people.of_row], mask=split[people.of_row] == _NONE))
    table = table.set_column(table.schema.get_field_index("split"), "split", words)
    if folds is None:
        return table
    kept = _kept("fold", pc.fill_null(table["fold"].cast(pa.int64()), _NONE).to_numpy(), people)
    if len(kept) and kept.max() >= folds:
        raise ManifestError(f"fold {kept.max()} exists, but folds is {folds}: drop the column `fold` to deal anew.")
    within = np.flatnonzero(split != SPLITS.index("test"))
    fold = np.full(len(split), _NONE)
    fold[within] = _deal(people.stratum[within], kept[within], np.full(folds, 1 / folds), turn[within])
    numbers = pa.array(fold[people.of_row].astype(np.int8), mask=fold[people.of_row] == _NONE)
    return table.set_column(table.schema.get_field_index("fold"), "fold", numbers)


def settled(values: pa.ChunkedArray, group: np.ndarray, groups: int, prefer: np.ndarray) -> np.ndarray:
    """One label where rows disagree: the lower median (groups,) of each group's values (N,), -1 if it has none.

    Rows in `prefer` (N,) decide if a group has any of them with a value, so photos outvote synthetic pictures.
    """
    value = pc.fill_null(values.cast(pa.int64()), _NONE).to_numpy()
    some = np.flatnonzero(value != _NONE)
    favoured = np.zeros(groups, bool)
    favoured[group[some[prefer[some]]]] = True
    some = some[prefer[some] | ~favoured[group[some]]]
    some = some[np.lexsort((value[some], group[some]))]
    count = np.bincount(group[some], minlength=groups)
    middle = np.cumsum(count) - count + (count - 1) // 2
    result = np.full(groups, _NONE)
    result[count > 0] = value[some[middle[count > 0]]]
    return result


def _shares(ratios: Mapping[str, float]) -> np.ndarray:
    """Ratios by name → shares in order of `SPLITS`."""
    for name, share in ratios.items():
        if name not in SPLITS:
            raise ConfigError(must_be_one_of("a split", SPLITS, name))
        if not 0 <= share <= 1:
            raise ConfigError(f"the share of {name} must be within 0 and 1. Got {share} instead.")
    if abs(sum(ratios.values()) - 1) > 1e-6:
        raise ConfigError(f"the shares of the splits must add up to 1. Got {sum(ratios.values()):g} instead.")
    return np.array([ratios.get(name, 0.0) for name in SPLITS])


def _people(table: pa.Table) -> _People:
    encoded = table["person_id"].combine_chunks().dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    names = np.array(encoded.dictionary.to_pylist(), object)
    place = np.empty(len(names), np.int64)
    place[order] = np.arange(len(names))
    of_row = place[encoded.indices.to_numpy()]
    photos = pc.invert(table["is_synthetic"]).to_numpy()
    age_class = settled(table["age_class"], of_row, len(names), photos)
    gender = settled(pc.index_in(table["gender"], pa.array(GENDERS)), of_row, len(names), photos)
    stratum = (gender + 1) * (N_AGE_CLASSES + 1) + age_class + 1  # 0 in either place: not known
    return _People(names[order], of_row, stratum)


def _turn(names: np.ndarray, seed: int) -> np.ndarray:
    """A number (P,) for each name, the same wherever and whenever it stands."""
    import pandas as pd

    return pd.util.hash_array(names, hash_key=f"{seed & (1 << 64) - 1:016x}"[-16:], categorize=False)


def _kept(what: str, codes: np.ndarray, people: _People) -> np.ndarray:
    """What each person (P,) has from before, -1 for nothing. Raises ManifestError if rows of one disagree."""
    has = codes != _NONE
    low, high = np.full(len(people.names), np.iinfo(np.int64).max), np.full(len(people.names), _NONE)
    np.minimum.at(low, people.of_row[has], codes[has])
    np.maximum.at(high, people.of_row[has], codes[has])
    torn = np.flatnonzero(high > low)
    if len(torn):
        word = [SPLITS[code] if what == "split" else str(code) for code in (low[torn[0]], high[torn[0]])]
        raise ManifestError(
            f"person {people.names[torn[0]]!r} stands in {what}s {word[0]} and {word[1]} ({len(torn)} persons in two): "
            f"one {what} per person. Drop the column `{what}` to deal anew."
        )
    return high


def _deal(stratum: np.ndarray, kept: np.ndarray, shares: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Fill each stratum's splits up to its shares with those who have none yet, in turn. Returns splits (P,).

    People in a split that has no share (a test set from before, say) stay there and are not counted.
    """
    split = kept.copy()
    owed = np.zeros(len(shares))
    order = np.lexsort((turn, stratum))  # equal turns: in order of name, as people are
    for members in np.split(order, np.flatnonzero(np.diff(stratum[order])) + 1) if len(order) else []:
        have = np.bincount(kept[members][kept[members] != _NONE], minlength=len(shares)) * (shares > 0)
        new = members[kept[members] == _NONE]
        count = _seats(have, have.sum() + len(new), shares, owed)
        assert count.sum() == have.sum() + len(new), "every person gets one split"
        assert (count >= have).all(), "everyone keeps theirs"
        assert (count <= np.maximum(have, np.ceil(shares * count.sum() - 1e-9))).all(), "no split goes beyond its share"
        assert have.any() or (np.abs(count - shares * count.sum()) < 1).all(), "shares are met to within one person"
        split[new] = np.repeat(np.arange(len(shares)), count - have)
        owed += shares * count.sum() - count
    return split


def _seats(have: np.ndarray, total: int, shares: np.ndarray, owed: np.ndarray) -> np.ndarray:
    """How many of `total` people each split (K,) shall have: its share rounded down or up, and never fewer than `have`.

    A split that has too many already keeps them and the others share the rest. Which are rounded up: those that the
    strata before have left short (`owed`).
    """
    count = have.astype(np.int64)
    free = shares > 0
    while True:
        rest = total - count[~free].sum()
        quota = np.where(free, rest * shares / max(shares[free].sum(), 1e-12), 0)
        over = free & (have > np.ceil(quota - 1e-9))
        if not over.any():
            break
        free &= ~over
    count[free] = np.maximum(have, np.floor(quota + 1e-9).astype(np.int64))[free]
    while count.sum() > total:  # two splits were rounded up before: one of the others waits
        waiting = free & (count > have)
        count[np.argmin(np.where(waiting, quota - count, np.inf))] -= 1
    room = free & (count < quota - 1e-9)
    first = np.argsort(np.where(room, -(owed + quota - count), np.inf), kind="stable")
    count[first[: total - count.sum()]] += 1
    return count
