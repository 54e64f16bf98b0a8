"""Assignment of people to splits and folds: person-disjoint, stratified, and stable when people are added.

All photos of a person are in one split, and so are all people who share a photo (`groups.py`); otherwise validation
would measure whether the network recognises people it was trained on. Within each stratum (`strata.py`: the labels that
people have) every split gets its share to within one person, and the remainders are distributed so that the totals are
close to the shares too. People who have a split keep it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import ConfigError, ManifestError, must_be_one_of
from data_manifests.schema import BY_NAME, SPLITS, null_column
from data_manifests.splits.groups import PersonGroups, code_range, group_people
from data_manifests.splits.strata import describe_people
from data_manifests.versions import Store, Version

EIGHT_TO_TWO = {"train": 0.8, "val": 0.2}
MAX_FOLDS = 100
_COLUMNS = ("split", "fold")
_NONE = -1


def assign_splits(
    table: pa.Table,
    *,
    ratios: Mapping[str, float] = EIGHT_TO_TWO,
    folds: int | None = None,
    seed: int = 0,
    ref: str = "REF",
    groups: PersonGroups | None = None,
) -> pa.Table:
    """Set the split of every row by person, and with `folds` also the fold (0 to folds - 1; null for `test`).

    Existing splits and folds of people are kept; clear the columns first to assign everyone again. `groups` are the
    people who share photos, by default as the table itself states them; a group is assigned like one person, and new
    people in it follow those with a split. The order of assignment follows from a hash of seed and `person_id`, so it
    depends neither on the order of rows nor on other people. Raises ConfigError for ratios that are not shares of 1,
    ManifestError for a person in two splits or for more folds than people; `ref` is the version that its message names.
    """
    shares = _shares(ratios)
    if folds is not None and not 2 <= folds <= MAX_FOLDS:
        raise ConfigError(f"folds must be within 2 and {MAX_FOLDS}. Got {folds} instead.")
    groups = group_people(table) if groups is None else groups
    units = _Units(table, groups)
    priority = _priority(units.names, seed)
    split_codes = pc.fill_null(pc.index_in(table["split"], pa.array(SPLITS)), _NONE).to_numpy()
    existing = _existing("split", split_codes, groups, ref)
    unit_split = _assign(units.stratum, units.lowest(existing), shares, priority)
    split = np.where(existing == _NONE, unit_split[units.of_person], existing)
    names = pa.array(SPLITS).take(pa.array(split[groups.of_row], mask=split[groups.of_row] == _NONE))
    table = table.set_column(table.schema.get_field_index("split"), "split", names)
    if folds is None:
        return table
    existing = _existing("fold", pc.fill_null(table["fold"].cast(pa.int64()), _NONE).to_numpy(), groups, ref)
    if len(existing) and existing.max() >= folds:
        raise ManifestError(
            f"folds must be more than {existing.max()}, the highest fold assigned. Got {folds} instead; "
            f"assign all again: facecurate split {ref} --folds {folds} --reassign"
        )
    in_folds = np.flatnonzero(unit_split != SPLITS.index("test"))
    _check_folds(folds, len(in_folds), len(units.names) < len(groups.names), ref)
    unit_fold = np.full(len(unit_split), _NONE)
    unit_fold[in_folds] = _assign(
        units.stratum[in_folds], units.lowest(existing)[in_folds], np.full(folds, 1 / folds), priority[in_folds]
    )
    fold = np.where(existing == _NONE, unit_fold[units.of_person], existing)
    fold[split == SPLITS.index("test")] = _NONE
    numbers = pa.array(fold[groups.of_row].astype(np.int8), mask=fold[groups.of_row] == _NONE)
    return table.set_column(table.schema.get_field_index("fold"), "fold", numbers)


class _Units:
    """The units of assignment: people who share no photo, and groups of people who do, named by their first person.

    `stratum` (U,) separates groups by their number of people too, so that every split gets its share of each size.
    """

    def __init__(self, table: pa.Table, groups: PersonGroups) -> None:
        first, self.of_person = np.unique(groups.first, return_inverse=True)
        self.names = groups.names[first]
        size = np.bincount(self.of_person, minlength=len(first))
        people = describe_people(table, self.names, self.of_person[groups.of_row])
        self.stratum = people.stratum * size.max(initial=1) + size - 1

    def lowest(self, codes: np.ndarray) -> np.ndarray:
        """Return the lowest code (U,) of the people (P,) of each unit, -1 where none of them has one."""
        low, high = code_range(codes, self.of_person, len(self.names))
        return np.where(high == _NONE, _NONE, low)


def newest_with_splits(store: Store, before: Version) -> Version | None:
    """Return the newest version of the same manifest, older than `before`, in which any row has a split."""
    for version in reversed(store.log(before.name)):
        if version.number < before.number:
            with suppress(ManifestError):  # its rows cannot be read: an older version may have splits too
                column = store.read(version.ref, ["split"]).table.column("split")
                if column.null_count < len(column):
                    return version
    return None


def keep_splits(table: pa.Table, earlier: pa.Table) -> pa.Table:
    """Fill empty splits and folds with those that the same people have in an earlier table."""
    for name in _COLUMNS:
        known = earlier.filter(pc.is_valid(earlier.column(name)))
        at = pc.index_in(table.column("person_id"), known.column("person_id"))
        values = pc.coalesce(table.column(name), known.column(name).take(at))
        table = table.set_column(table.column_names.index(name), name, values)
    return table


def without_splits(table: pa.Table) -> pa.Table:
    """Return the table with empty splits and folds."""
    for name in _COLUMNS:
        empty = null_column(table.num_rows, BY_NAME[name].type)
        table = table.set_column(table.column_names.index(name), name, empty)
    return table


def lacks_validation(table: pa.Table) -> bool:
    """Return whether all rows have a split and none is val: many data sets come as train and test only."""
    splits = table.column("split")
    return (
        splits.null_count == 0
        and pc.any(pc.equal(splits, "train")).as_py()
        and not pc.any(pc.equal(splits, "val")).as_py()
    )


def without_training_split(table: pa.Table, groups: PersonGroups) -> pa.Table:
    """Return the table with empty splits in the rows of train, so that val can take its share of them.

    People of train who share a photo with someone in another split stay there: a given test set does not grow.
    """
    splits = table.column("split")
    stays = groups.is_divided(table, "split")[groups.of_row]
    moves = pc.and_(pc.equal(splits, "train"), pa.array(~stays))
    kept = pc.if_else(moves, pa.scalar(None, pa.string()), splits)
    return table.set_column(table.column_names.index("split"), "split", kept)


def count_people(table: pa.Table) -> int:
    """Return the number of people who have a split."""
    return pc.count_distinct(table.column("person_id").filter(pc.is_valid(table.column("split")))).as_py()


def _shares(ratios: Mapping[str, float]) -> np.ndarray:
    """Return the shares in order of `SPLITS`. Raises ConfigError."""
    for name, share in ratios.items():
        if name not in SPLITS:
            raise ConfigError(must_be_one_of("a split", SPLITS, name))
        if not 0 <= share <= 1:
            raise ConfigError(f"the share of {name} must be within 0 and 1. Got {share} instead.")
    if abs(sum(ratios.values()) - 1) > 1e-6:
        raise ConfigError(f"the shares of the splits must add up to 1. Got {sum(ratios.values()):g} instead.")
    return np.array([ratios.get(name, 0.0) for name in SPLITS])


def _priority(names: np.ndarray, seed: int) -> np.ndarray:
    """Return a number (P,) for each name that depends on the name and the seed only."""
    import pandas as pd

    return pd.util.hash_array(names, hash_key=f"{seed & (1 << 64) - 1:016x}"[-16:], categorize=False)


def _existing(field: str, codes: np.ndarray, groups: PersonGroups, ref: str) -> np.ndarray:
    """Return the code (P,) each person has already, -1 for none. Raises ManifestError if rows of a person differ."""
    low, high = code_range(codes, groups.of_row, len(groups.names))
    in_two = np.flatnonzero(high > low)
    if len(in_two):
        first = in_two[0]
        values = [SPLITS[code] if field == "split" else str(code) for code in (low[first], high[first])]
        raise ManifestError(
            f"{_people_text(len(in_two))} photos in two {field}s, such as {groups.names[first]!r} in {values[0]} and "
            f"{values[1]}: a person must be in one, or validation has faces from training. "
            f"Assign all again: facecurate split {ref} --reassign"
        )
    return high


def _check_folds(folds: int, most: int, is_grouped: bool, ref: str) -> None:
    """Check that no fold is empty. Raises ManifestError."""
    counted = "people outside test" + (", where those who share photos count as one" if is_grouped else "")
    if most < 2:
        raise ManifestError(f"folds need at least 2 {counted}. Got {most} instead; leave out --folds.")
    if folds > most:
        raise ManifestError(
            f"folds must be within 2 and {most}, the number of {counted}. Got {folds} instead. "
            f"Run: facecurate split {ref} --folds {most}"
        )


def _people_text(count: int) -> str:
    return "1 person has" if count == 1 else f"{count:,} people have"


def _assign(stratum: np.ndarray, existing: np.ndarray, shares: np.ndarray, priority: np.ndarray) -> np.ndarray:
    """Fill the splits of each stratum up to their shares with the unassigned people, by priority. Returns (P,).

    People in a split without a share (an earlier test set, for example) stay there and are not counted.
    """
    split = existing.copy()
    deficit = np.zeros(len(shares))  # people that earlier strata gave each split too few
    order = np.lexsort((priority, stratum))  # stable: equal priorities stay in order of name
    for members in np.split(order, np.flatnonzero(np.diff(stratum[order])) + 1) if len(order) else []:
        have = np.bincount(existing[members][existing[members] != _NONE], minlength=len(shares)) * (shares > 0)
        new = members[existing[members] == _NONE]
        count = _apportion(have, have.sum() + len(new), shares, deficit)
        assert count.sum() == have.sum() + len(new), "every person gets one split"
        assert (count >= have).all(), "existing splits are kept"
        assert (count <= np.maximum(have, np.ceil(shares * count.sum() - 1e-9))).all(), "no split exceeds its share"
        assert have.any() or (np.abs(count - shares * count.sum()) < 1).all(), "shares are met to within one person"
        split[new] = np.repeat(np.arange(len(shares)), count - have)
        deficit += shares * count.sum() - count
    return split


def _apportion(have: np.ndarray, total: int, shares: np.ndarray, deficit: np.ndarray) -> np.ndarray:
    """Return the number of `total` people for each split (K,): its share rounded up or down, and at least `have`.

    A split that has too many already keeps them, and the others divide the rest. Splits with the largest deficit from
    earlier strata are rounded up.
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
    while count.sum() > total:  # two splits were rounded up earlier, so one of the others gets one fewer
        reducible = free & (count > have)
        count[np.argmin(np.where(reducible, quota - count, np.inf))] -= 1
    room = free & (count < quota - 1e-9)
    first = np.argsort(np.where(room, -(deficit + quota - count), np.inf), kind="stable")
    count[first[: total - count.sum()]] += 1
    return count
