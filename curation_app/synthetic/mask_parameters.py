"""Synthetic pictures of a version by how they were made: type, wear and age move, read from their recipes."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_manifests.taxonomy import N_AGE_CLASSES, AgeCuts
from data_manifests.versions import Store

COVERED = ("nose", "mouth", "chin")
UNREADABLE = "unreadable"  # the type and wear of a recipe that is none
NO_MOVE = -1
_BATCH = 1 << 14  # rows; recipes are long, and are let go as soon as they are read
# As `synth` writes them. A recipe that begins otherwise is read as JSON, which takes ten times longer.
_HEAD = r'^\{"mask_type": "(?P<mask_type>[^"\\]*)", "wear": "(?P<wear>[^"\\]*)"[,}]'
_MOVE = r'"from_age": (?P<from_age>\d+), "to_age": (?P<to_age>\d+)[,}]'


@dataclass(frozen=True)
class Recipes:
    """The synthetic rows (S,) of a version: their row numbers and how they were made.

    `types` and `wears` (S,) are places in the lists of names (an empty name: without a mask). `ages` (S, 2) are from
    and to in years and `moves` (S,) from * 3 + to in age classes, both -1 without a move. `covered` (S, 3) are the
    shares of nose, mouth and chin under fabric, NaN where there is none.
    """

    rows: np.ndarray
    type_names: list[str]
    types: np.ndarray
    wear_names: list[str]
    wears: np.ndarray
    ages: np.ndarray
    moves: np.ndarray
    covered: np.ndarray

    @property
    def broken(self) -> int:
        """How many recipes cannot be read."""
        return int((self.types == self.type_names.index(UNREADABLE)).sum()) if UNREADABLE in self.type_names else 0


def read_recipes(store: Store, ref: str, cuts: AgeCuts) -> Recipes:
    """Read the recipes of a version, a part at a time. Raises ManifestError if there is no such version."""
    store.version(ref)
    scores = [f"{part}_covered_score" for part in COVERED]
    rows, parts, covered, first = [np.empty(0, np.int64)], [_parse(pa.array([], pa.string()))], [], 0
    with pq.ParquetFile(store.resolve(ref)) as file:
        stored = file.schema_arrow.names
        columns = [name for name in ("is_synthetic", "recipe", *scores) if name in stored]
        for batch in file.iter_batches(_BATCH, columns=columns):
            synthetic = np.flatnonzero(batch.column("is_synthetic").to_numpy(zero_copy_only=False))
            if len(synthetic):
                taken = batch.take(pa.array(synthetic))
                rows.append(synthetic + first)
                parts.append(
                    _parse(taken.column("recipe") if "recipe" in columns else pa.nulls(len(taken), pa.string()))
                )
                covered.append(taken.select([name for name in scores if name in columns]))
            first += len(batch)
    recipes = pa.concat_tables(parts)
    type_names, types = _places(recipes["mask_type"])
    wear_names, wears = _places(recipes["wear"])
    ages = np.stack([recipes[name].to_numpy() for name in _AGES], 1)
    classes = (ages >= cuts.middle).astype(np.int64) + (ages >= cuts.old)
    moves = np.where((ages >= 0).all(1), classes[:, 0] * N_AGE_CLASSES + classes[:, 1], NO_MOVE)
    shares = pa.Table.from_batches(covered) if covered else pa.table({})
    nothing = np.full(len(ages), np.nan, np.float32)
    share = [shares[name].to_numpy() if name in shares.column_names else nothing for name in scores]
    return Recipes(np.concatenate(rows), type_names, types, wear_names, wears, ages, moves, np.stack(share, 1))


_AGES = ("from_age", "to_age")


def _places(texts: pa.ChunkedArray) -> tuple[list[str], np.ndarray]:
    """The different texts in order, and for each row (N,) the place of its own."""
    encoded = texts.combine_chunks().dictionary_encode()
    names, at = np.unique(encoded.dictionary.to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    return names.tolist(), at[encoded.indices.to_numpy()] if len(names) else np.empty(0, np.int64)


def _parse(recipes: pa.Array) -> pa.Table:
    """Recipes (N,) → mask_type, wear, and from_age and to_age in years, -1 where the age is not moved."""
    head, move = pc.extract_regex(recipes, _HEAD), pc.extract_regex(recipes, _MOVE)
    whole = pc.fill_null(pc.and_(pc.ends_with(recipes, "}"), pc.is_valid(head)), False)
    columns = {name: pc.struct_field(head, name) for name in ("mask_type", "wear")}
    columns |= {name: pc.fill_null(pc.struct_field(move, name), "") for name in _AGES}
    slow = np.flatnonzero(~whole.to_numpy(zero_copy_only=False))
    if len(slow):
        read = [_read_slowly(recipes[at].as_py()) for at in slow.tolist()]
        mask = np.zeros(len(recipes), bool)
        mask[slow] = True
        for name, values in zip(columns, zip(*read, strict=True), strict=True):
            columns[name] = pc.replace_with_mask(columns[name], mask, pa.array(values, pa.string()))
    for name in _AGES:
        known = pc.if_else(pc.equal(columns[name], ""), "-1", columns[name])
        columns[name] = known.cast(pa.int64())
    return pa.table(columns)


def _read_slowly(text: str | None) -> tuple[str, str, str, str]:
    """Type, wear, ages from and to (empty without a move) of a recipe as JSON."""
    try:
        recipe = json.loads(text or "")
        ages = [str(int(recipe[name])) if name in recipe else "" for name in _AGES]
        return str(recipe["mask_type"]), str(recipe["wear"]), ages[0], ages[1]
    except (ValueError, KeyError, TypeError):
        return UNREADABLE, UNREADABLE, "", ""
