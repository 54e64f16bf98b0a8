"""The people of a table and the strata that their labels form, so that every split gets its share of each.

A stratum is a combination of the labels of a person: gender and age class where they are known, and the mask where most
people have one mask only (a set in which every photo is its own person). People photographed with several masks, as in
the competition, have all of them in every split anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.labels import N_LABELS, TASKS, UNKNOWN, label_codes, label_names
from data_manifests.schema import SPLITS
from data_manifests.taxonomy import AgeCuts

_SEVERAL = N_LABELS["mask"]  # code of the mask of a person who has photos with different masks
_BASE = {"gender": N_LABELS["gender"] + 1, "age": N_LABELS["age"] + 1, "mask": N_LABELS["mask"] + 2}
_MAX_LINES = 24
_MAX_NAMES = 4


@dataclass(frozen=True)
class People:
    """The people of a table, sorted by name: `names` (P,), the person of each row (N,), and the labels of each person.

    `tasks` are those whose labels differ between people; only they separate strata. `codes[task]` (P,) holds a code of
    each person, UNKNOWN where it has none. `stratum` (P,) numbers the combinations.
    """

    names: np.ndarray
    of_row: np.ndarray
    codes: dict[str, np.ndarray]
    tasks: tuple[str, ...]
    stratum: np.ndarray


def index_people(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted ids (P,) of the people of a table, and the position of each row's person (N,)."""
    encoded = table["person_id"].combine_chunks().dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    names = np.array(encoded.dictionary.to_pylist(), object)
    position = np.empty(len(names), np.int64)
    position[order] = np.arange(len(names))
    return names[order], position[encoded.indices.to_numpy()]


def people_of(table: pa.Table) -> People:
    """Return the people of a table with person_id, is_synthetic and the label columns."""
    return describe_people(table, *index_people(table))


def describe_people(table: pa.Table, names: np.ndarray, of_row: np.ndarray) -> People:
    """Return the labels and strata of people, or of groups of people, with names (P,); `of_row` (N,) are positions."""
    photos = pc.invert(table["is_synthetic"]).to_numpy()
    codes = {task: group_medians(label_codes(table, task), of_row, len(names), photos) for task in ("gender", "age")}
    codes["mask"] = _masks(label_codes(table, "mask"), of_row, len(names), photos)
    stratum = np.zeros(len(names), np.int64)
    for task, base in _BASE.items():
        stratum = stratum * base + codes[task] + 1  # 0: unknown
    tasks = tuple(task for task in TASKS if len(np.unique(codes[task])) > 1)
    return People(names, of_row, codes, tasks, stratum)


def group_medians(value: np.ndarray, group: np.ndarray, groups: int, prefer: np.ndarray) -> np.ndarray:
    """Return one code for each group: the lower median (groups,) of its values (N,), -1 for a group without values.

    If any row in `prefer` (N,) of a group has a value, only those rows count, so photos outvote synthetic images.
    """
    rows = _counted_rows(value, group, groups, prefer)
    rows = rows[np.lexsort((value[rows], group[rows]))]
    count = np.bincount(group[rows], minlength=groups)
    middle = np.cumsum(count) - count + (count - 1) // 2
    result = np.full(groups, UNKNOWN)
    result[count > 0] = value[rows[middle[count > 0]]]
    return result


def _counted_rows(value: np.ndarray, group: np.ndarray, groups: int, prefer: np.ndarray) -> np.ndarray:
    """Return the rows (M,) that decide the value of their group: those with a value, if possible preferred ones."""
    rows = np.flatnonzero(value != UNKNOWN)
    has_preferred = np.zeros(groups, bool)
    has_preferred[group[rows[prefer[rows]]]] = True
    return rows[prefer[rows] | ~has_preferred[group[rows]]]


def _masks(value: np.ndarray, group: np.ndarray, groups: int, prefer: np.ndarray) -> np.ndarray:
    """Return the mask of each person (groups,), all UNKNOWN unless most people have one mask and those masks differ."""
    rows = _counted_rows(value, group, groups, prefer)
    low, high = np.full(groups, _SEVERAL), np.full(groups, UNKNOWN)
    np.minimum.at(low, group[rows], value[rows])
    np.maximum.at(high, group[rows], value[rows])
    is_known, has_one = high != UNKNOWN, low == high
    if 2 * has_one.sum() <= is_known.sum() or len(np.unique(high[has_one])) < 2:
        return np.full(groups, UNKNOWN)
    return np.where(has_one | ~is_known, high, _SEVERAL)


# -- as text ----------------------------------------------------------------------------------------------------------
def strata_lines(table: pa.Table, cuts: AgeCuts, wanted: Sequence[str]) -> list[str]:
    """Return the people of each stratum and split as text, and the strata of which one of the `wanted` splits has none.

    `table` has its splits assigned.
    """
    people = people_of(table)
    if not people.tasks:
        is_known = any((codes != UNKNOWN).any() for codes in people.codes.values())
        return [f"no strata: {'all people have the same labels' if is_known else 'no label of people is known'}"]
    split = np.full(len(people.names), UNKNOWN)
    split[people.of_row] = pc.fill_null(pc.index_in(table["split"], pa.array(SPLITS)), UNKNOWN).to_numpy()
    _, first, number = np.unique(people.stratum, return_index=True, return_inverse=True)
    order = np.lexsort([people.codes[task][first] for task in reversed(people.tasks)])  # as the names are read
    first, number = first[order], np.argsort(order)[number]
    names = [_stratum_name(people, person, cuts) for person in first.tolist()]
    counts = np.stack([np.bincount(number[split == k], minlength=len(names)) for k in range(len(SPLITS))], axis=1)
    shown = [k for k, name in enumerate(SPLITS) if name in wanted or counts[:, k].any()]
    width = max(22, *map(len, names)) + 2
    title = f"strata by {_joined(people.tasks)}"
    lines = [f"{title:{width}}{'people':>8}" + "".join(f"{SPLITS[k]:>8}" for k in shown)]
    for name, row in list(zip(names, counts, strict=True))[:_MAX_LINES]:
        lines.append(f"{name:{width}}{row.sum():>8,}" + "".join(f"{row[k]:>8,}" for k in shown))
    if len(names) > _MAX_LINES:
        lines.append(f"… and {len(names) - _MAX_LINES} more strata")
    return [*lines, *_too_small(names, counts, wanted)]


def _stratum_name(people: People, person: int, cuts: AgeCuts) -> str:
    if all(people.codes[task][person] == UNKNOWN for task in people.tasks):
        return f"{people.tasks[0]} unknown" if len(people.tasks) == 1 else "no known label"
    words = []
    for task in people.tasks:
        code = int(people.codes[task][person])
        if code == UNKNOWN:
            words.append(f"{task} unknown")
        else:
            words.append("several masks" if task == "mask" and code == _SEVERAL else label_names(task, cuts)[code])
    return " ".join(words)


def _joined(tasks: Sequence[str]) -> str:
    words = ["age class" if task == "age" else task for task in tasks]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _too_small(names: Sequence[str], counts: np.ndarray, wanted: Sequence[str]) -> list[str]:
    """Return one line for each wanted split that some strata are too small to reach."""
    lines = []
    for split in wanted:
        of_split = counts[:, SPLITS.index(split)]
        missing = [(names[k], int(counts[k].sum())) for k in np.flatnonzero(of_split == 0).tolist()]
        if missing:
            parts = [f"{name} ({size:,} {'person' if size == 1 else 'people'})" for name, size in missing[:_MAX_NAMES]]
            more = f" and {len(missing) - _MAX_NAMES} more" if len(missing) > _MAX_NAMES else ""
            lines.append(f"too small to be in {split}: {', '.join(parts)}{more}")
    return lines
