"""Specification of the age mover as JSON text: with it, the image of a row can be made again."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from data_manifests.errors import StageError
from data_manifests.files import parse_json
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import Store
from pipeline.backends import load_backend
from synth.ages import VERSION, AgeMover, AgeSettings, ensure_prototypes, make_age_mover, require_file

_NETWORK_SETTINGS = ("network_path", "network_size_px", "low", "high", "age_unit_years")


def describe_age_mover(ages: AgeSettings, table: pa.Table, store: Store, cuts: AgeCuts) -> str:
    """Return JSON of everything an aged image depends on except face and ages; learn prototypes if needed.

    Raises BackendError if a model file is missing, ConfigError for the method `none`, and StageError if there are too
    few people to learn from, before any worker starts.
    """
    load_backend("embedder", "dlib_face").check()
    spec: dict[str, object] = {"method": ages.method, "version": VERSION}
    if ages.method == "prototypes":
        spec |= {"strength": ages.strength, "prototypes": ensure_prototypes(table, store, cuts, ages.min_people)}
    elif ages.method != "none":
        spec |= ages.model_dump(mode="json", include=set(_NETWORK_SETTINGS))
        spec["network"] = hashlib.sha256(require_file(ages.network_path).read_bytes()).hexdigest()
    text = json.dumps(spec, sort_keys=True)
    load_age_mover(text, store.workspace)
    return text


@lru_cache(maxsize=4)
def load_age_mover(spec: str, workspace: Path) -> AgeMover:
    """Make the age mover of a specification, with prototypes from the workspace."""
    values = parse_json(spec, "the specification of an age mover", error=StageError, kind=dict)
    sha256 = values.get("prototypes")
    settings = AgeSettings(**{key: values[key] for key in ("method", "strength", *_NETWORK_SETTINGS) if key in values})
    return make_age_mover(settings, workspace / "ages" / f"{sha256}.npz" if sha256 else None, sha256)
