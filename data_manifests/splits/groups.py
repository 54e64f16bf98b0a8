"""Groups of people who share a photo: equal files, and near-duplicates and portraits that an audit found.

With one photo under two names, a split by name alone would put the same picture on both sides. People who share a
photo, directly or through others, are one group: a connected component of the graph of people and pictures. Only
usable rows count, so a copy that a review excluded joins no people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.labels import UNKNOWN
from data_manifests.schema import USABLE
from data_manifests.splits.strata import index_people
from data_manifests.versions import Manifest, Store, Version

AUDIT_COLUMNS = ("source_id", "sha256", "duplicate_of", "same_portrait_of")
_DIGITS = 16  # digits of a hash that are compared first; 64 bits of equal digits by chance are unlikely
_MIX = np.uint64(0x9E3779B97F4A7C15)  # an odd number: distinct halves rarely collide (Knuth, TAOCP 3, 6.4)


@dataclass(frozen=True)
class PersonGroups:
    """The people of a table and their groups.

    `names` (P,) are the sorted ids and `of_row` (N,) the person of each row; `first` (P,) is the first person of each
    person's group, themselves for a person who shares no photo. `identical`, `near` and `portraits` count pictures:
    files that occur more than once, near-duplicates that are not all one file, and portraits with several masks that
    are not near-duplicates. `is_audited` states whether the last two are known.
    """

    names: np.ndarray
    of_row: np.ndarray
    first: np.ndarray
    identical: int = 0
    near: int = 0
    portraits: int = 0
    is_audited: bool = False

    @property
    def sizes(self) -> np.ndarray:
        """Return the number of people (G,) of each group of two or more."""
        counts = np.bincount(self.first)
        return np.asarray(counts[counts > 1])

    def is_divided(self, table: pa.Table, column: str) -> np.ndarray:
        """Return the people (P,) bool whose group has several values of `split` or `fold`; nulls do not count."""
        encoded = table[column].combine_chunks().dictionary_encode()
        code = pc.fill_null(encoded.indices, UNKNOWN).to_numpy(zero_copy_only=False)
        low, high = code_range(code, self.first[self.of_row], len(self.names))
        return np.asarray((high > low)[self.first])

    def duplicate_lines(self) -> list[str]:
        """Return the number of duplicate pictures and of people who share them as a line of text, none without any."""
        kinds = [(self.identical, "identical files"), (self.near, "near-duplicates")]
        kinds.append((self.portraits, "one portrait with several masks"))
        found = [f"{count:,} {'group' if count == 1 else 'groups'} of {kind}" for count, kind in kinds if count]
        return [f"duplicates: {', '.join(found)}; {self._people()}"] if found else []

    def split_lines(self, table: pa.Table, ref: str) -> list[str]:
        """Return `duplicate_lines`, the groups that an assignment leaves divided, and what to run about them.

        `table` has its splits assigned. Without an audit, a line names the command that finds near-duplicates.
        """
        lines = self.duplicate_lines()
        divided = self.is_divided(table, "split") | self.is_divided(table, "fold")
        if count := len(np.unique(self.first[divided])):
            groups = "1 group of them is" if count == 1 else f"{count:,} groups of them are"
            lines.append(
                f"{groups} in several splits or folds, because people keep theirs ({divided.sum():,} people). "
                f"Assign all again: facecurate split {ref} --reassign"
            )
        return lines if self.is_audited else [*lines, f"near-duplicates are known after: facecurate audit run {ref}"]

    def _people(self) -> str:
        sizes = self.sizes
        if not len(sizes):
            return "none of them is of several people"
        if len(sizes) == 1:
            return f"{sizes.sum():,} people share photos and are one group"
        return f"{sizes.sum():,} people share photos and are {len(sizes):,} groups, the largest of {sizes.max():,}"


def group_people(table: pa.Table, audited: pa.Table | None = None) -> PersonGroups:
    """Return the groups of people who share a photo.

    `audited` has AUDIT_COLUMNS of another version of the same photos, recognised by `source_id` or by their bytes.
    """
    names, of_row = index_people(table)
    groups = PersonGroups(names, of_row, np.arange(len(names)), is_audited=audited is not None or is_audited(table))
    usable = pc.is_in(table["status"], pa.array(USABLE)).to_numpy()
    equal = _identical(table["sha256"], usable)
    near, portrait = (_audited(name, table, audited, usable) for name in ("duplicate_of", "same_portrait_of"))
    if max(code.max(initial=UNKNOWN) for code in (equal, near, portrait)) == UNKNOWN:
        return groups
    return replace(
        groups,
        first=_components(of_row, len(names), [equal, near, portrait]),
        identical=int(equal.max() + 1),
        near=_count_beyond(near, equal),
        portraits=_count_beyond(portrait, near),
    )


def is_audited(table: pa.Table) -> bool:
    """Return whether an audit has looked for near-duplicates among the rows, or among those they were made from."""
    return bool(table["audit_rank"].null_count < table.num_rows)


def newest_audit(store: Store, manifest: Manifest) -> Version | None:
    """Return the newest audited version of a manifest, older than the given one; None if that one is audited itself."""
    if is_audited(manifest.table):
        return None
    for version in reversed(store.log(manifest.version.name)):
        if version.number < manifest.version.number and is_audited(store.read(version.ref, ["audit_rank"]).table):
            return version
    return None


def code_range(codes: np.ndarray, of_row: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and the highest code (n,) of the rows (N,) of each of n owners; codes below 0 do not count.

    Owners without a code have a high of -1 and a low above it.
    """
    has = codes >= 0
    low, high = np.full(n, np.iinfo(np.int64).max), np.full(n, UNKNOWN, np.int64)
    np.minimum.at(low, of_row[has], codes[has])
    np.maximum.at(high, of_row[has], codes[has])
    return low, high


def _identical(sha256: pa.ChunkedArray, usable: np.ndarray) -> np.ndarray:
    """Return a code (N,) for each usable row whose bytes occur more than once, 0 to K - 1; -1 for the others."""
    rows = np.flatnonzero(usable & pc.is_valid(sha256).to_numpy())
    texts = sha256.combine_chunks()
    texts = texts if len(rows) == len(texts) else texts.take(pa.array(rows))
    maybe = _maybe_repeated(texts)
    return _repeated(texts.take(pa.array(maybe)), rows[maybe], len(usable))


def _maybe_repeated(texts: pa.Array) -> np.ndarray:
    """Return the positions (M,) of all texts that occur more than once, with hardly any others.

    Texts of one length are compared by their first digits, ten times faster than a dictionary of a million texts.
    """
    lengths = pc.min_max(pc.binary_length(texts)).as_py()
    if lengths["min"] is None or lengths["min"] != lengths["max"] or lengths["min"] < _DIGITS:
        return np.arange(len(texts))
    start = texts.offset * lengths["min"]
    data = np.frombuffer(texts.buffers()[2], np.uint8)[start : start + len(texts) * lengths["min"]]
    digits = np.ascontiguousarray(data.reshape(len(texts), -1)[:, :_DIGITS]).view(np.uint64)
    keys = digits[:, 0] * _MIX + digits[:, 1]
    ordered = np.sort(keys)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    return np.flatnonzero(np.isin(keys, repeated)) if len(repeated) else np.empty(0, np.int64)


def _audited(column: str, table: pa.Table, audited: pa.Table | None, usable: np.ndarray) -> np.ndarray:
    """Return a code (N,) for each usable row of a group that an audit found, 0 to K - 1; -1 for the others."""
    names = table[column]
    if audited is not None:
        known = audited.filter(pc.is_valid(audited[column]))
        for key in ("source_id", "sha256"):
            at = pc.index_in(table[key], known[key], skip_nulls=True)
            names = pc.coalesce(names, known[column].take(at))
    rows = np.flatnonzero(usable & pc.is_valid(names).to_numpy())
    return _repeated(names.take(pa.array(rows)), rows, len(usable))


def _repeated(texts: pa.Array | pa.ChunkedArray, rows: np.ndarray, n: int) -> np.ndarray:
    """Return codes (n,) of the given rows, equal for equal texts and 0 to K - 1; -1 where a text occurs once."""
    code = np.full(n, UNKNOWN, np.int64)
    if len(rows):
        texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
        _, number, count = np.unique(
            texts.dictionary_encode().indices.to_numpy(), return_inverse=True, return_counts=True
        )
        often = count > 1
        code[rows] = np.where(often, np.cumsum(often) - 1, UNKNOWN)[number]
    return code


def _components(of_row: np.ndarray, people: int, codes: Sequence[np.ndarray]) -> np.ndarray:
    """Return the first person (P,) of each person's component; people with rows (N,) of an equal code are joined."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends, nodes = [np.empty((0, 2), np.int64)], people
    for code in codes:
        rows = np.flatnonzero(code >= 0)
        ends.append(np.column_stack([of_row[rows], nodes + code[rows]]))
        nodes += int(code.max(initial=UNKNOWN)) + 1
    links = np.concatenate(ends)
    graph = coo_array((np.ones(len(links), np.int8), (links[:, 0], links[:, 1])), shape=(nodes, nodes))
    label = connected_components(graph, directed=False)[1][:people]
    _, first, component = np.unique(label, return_index=True, return_inverse=True)
    return np.asarray(first[component])


def _count_beyond(codes: np.ndarray, finer: np.ndarray) -> int:
    """Return the number of groups (codes (N,), -1 for none) whose rows are not all in one group of a finer kind."""
    low, high = code_range(np.where(codes >= 0, finer + 1, UNKNOWN), codes, int(codes.max(initial=UNKNOWN)) + 1)
    return int(((low < high) | (low == 0)).sum())
