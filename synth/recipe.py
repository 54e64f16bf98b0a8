"""The recipe of a synthetic image: the column `recipe` of its row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_manifests.errors import StageError
from data_manifests.files import parse_json

_NEEDED = ("mask_type", "wear")
_REMEDY = "Make the images again: facecurate synth run REF"


def read_recipe(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a synthetic row. Raises StageError that names the row if its recipe is not valid."""
    name = f"the recipe of {row.get('sample_id', 'a synthetic image')}"
    recipe: dict[str, Any] = parse_json(row["recipe"] or "", name, _REMEDY, error=StageError, kind=dict)
    if missing := [key for key in _NEEDED if key not in recipe]:
        raise StageError(f"{name} has no {missing[0]!r}. {_REMEDY}")
    if bad := [key for key in ("mask", "age") if not isinstance(recipe.get(key, {}), dict)]:
        raise StageError(f"{name}: {bad[0]!r} must be an object. {_REMEDY}")
    return recipe
