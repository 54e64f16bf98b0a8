"""The parameters of the synthetic pictures of a version: mask type, placement and change of age."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.files import open_parquet
from data_manifests.taxonomy import N_AGE_CLASSES, AgeCuts, age_class_of
from data_manifests.versions import Store

COVERED = ("nose", "mouth", "chin")
UNREADABLE = "unreadable"  # type and placement of a recipe that is not valid
SAME_AGE = -1
_BATCH = 1 << 14  # rows; recipes are long and are freed as soon as they are read
# The JSON keys as `synth` writes them; a recipe in another format is parsed as JSON, which takes ten times longer.
_HEAD = r'^\{"mask_type": "(?P<mask_type>[^"\\]*)", "wear": "(?P<wear>[^"\\]*)"[,}]'
_AGE_CHANGE = r'"from_age": (?P<from_age>\d+), "to_age": (?P<to_age>\d+)[,}]'
_AGES = ("from_age", "to_age")


@dataclass(frozen=True)
class MaskParameters:
    """The parameters of the synthetic rows (S,) of a version, and their row numbers.

    `types` and `placements` (S,) are indices into the lists of names; an empty name stands for no mask. `ages` (S, 2)
    are from and to in years, and `age_changes` (S,) from * 3 + to in age classes, both -1 where the age is unchanged.
    `covered` (S, 3) are the shares of nose, mouth and chin under fabric, NaN without a mask.
    """

    rows: np.ndarray
    type_names: list[str]
    types: np.ndarray
    placement_names: list[str]
    placements: np.ndarray
    ages: np.ndarray
    age_changes: np.ndarray
    covered: np.ndarray

    @property
    def unreadable(self) -> int:
        """The number of recipes that cannot be read."""
        return int((self.types == self.type_names.index(UNREADABLE)).sum()) if UNREADABLE in self.type_names else 0


def read_mask_parameters(store: Store, ref: str, cuts: AgeCuts) -> MaskParameters:
    """Read the column `recipe` of a version in batches. Raises ManifestError if the version does not exist."""
    store.version(ref)
    scores = [f"{part}_covered_score" for part in COVERED]
    rows, parts, covered, first = [np.empty(0, np.int64)], [_parse(pa.array([], pa.string()))], [], 0
    with open_parquet(store.resolve(ref)) as file:
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
    parsed = pa.concat_tables(parts)
    type_names, types = _sorted_codes(parsed["mask_type"])
    placement_names, placements = _sorted_codes(parsed["wear"])
    ages = np.stack([parsed[name].to_numpy() for name in _AGES], 1)
    classes = age_class_of(ages, cuts)
    age_changes = np.where((ages >= 0).all(1), classes[:, 0] * N_AGE_CLASSES + classes[:, 1], SAME_AGE)
    shares = pa.Table.from_batches(covered) if covered else pa.table({})
    unknown = np.full(len(ages), np.nan, np.float32)
    share = [shares[name].to_numpy() if name in shares.column_names else unknown for name in scores]
    return MaskParameters(
        np.concatenate(rows), type_names, types, placement_names, placements, ages, age_changes, np.stack(share, 1)
    )


def _sorted_codes(texts: pa.ChunkedArray) -> tuple[list[str], np.ndarray]:
    """Return the sorted distinct texts and for each row (N,) the index of its text."""
    encoded = texts.combine_chunks().dictionary_encode()
    names, index = np.unique(encoded.dictionary.to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    return names.tolist(), index[encoded.indices.to_numpy()] if len(names) else np.empty(0, np.int64)


def _parse(recipes: pa.Array) -> pa.Table:
    """Return mask_type, wear, from_age and to_age (years, -1 where the age is unchanged) of recipes (N,)."""
    head, change = pc.extract_regex(recipes, _HEAD), pc.extract_regex(recipes, _AGE_CHANGE)
    whole = pc.fill_null(pc.and_(pc.ends_with(recipes, "}"), pc.is_valid(head)), False)
    columns = {name: pc.struct_field(head, name) for name in ("mask_type", "wear")}
    columns |= {name: pc.fill_null(pc.struct_field(change, name), "") for name in _AGES}
    others = np.flatnonzero(~whole.to_numpy(zero_copy_only=False))
    if len(others):
        parsed = [_parse_json(recipes[row].as_py()) for row in others.tolist()]
        mask = np.zeros(len(recipes), bool)
        mask[others] = True
        for name, values in zip(columns, zip(*parsed, strict=True), strict=True):
            columns[name] = pc.replace_with_mask(columns[name], mask, pa.array(values, pa.string()))
    for name in _AGES:
        known = pc.if_else(pc.equal(columns[name], ""), "-1", columns[name])
        columns[name] = known.cast(pa.int64())
    return pa.table(columns)


def _parse_json(text: str | None) -> tuple[str, str, str, str]:
    """Return type, placement and ages from and to (empty where the age is unchanged) of a recipe."""
    try:
        recipe = json.loads(text or "")
        ages = [str(int(recipe[name])) if name in recipe else "" for name in _AGES]
        return str(recipe["mask_type"]), str(recipe["wear"]), ages[0], ages[1]
    except (ValueError, KeyError, TypeError, RecursionError):
        return UNREADABLE, UNREADABLE, "", ""
