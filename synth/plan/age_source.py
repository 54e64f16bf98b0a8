"""Ages in a plan: what moves them, written so that a row alone can be made again."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import Store
from pipeline.backends import load_backend
from synth.ages import VERSION, AgeMover, AgeSettings, make_mover, prototypes_of, require_file

_OF_NETWORKS = ("network_path", "network_size_px", "low", "high", "age_unit_years")


def describe_mover(ages: AgeSettings, table: pa.Table, store: Store, cuts: AgeCuts) -> str:
    """JSON of everything a moved picture depends on but the face and the ages; learns prototypes if need be.

    Raises BackendError if a model file is missing, ConfigError for the method `none`, StageError if the people are too
    few to learn from: all before any worker starts.
    """
    load_backend("embedder", "dlib_face").check()
    said: dict[str, object] = {"method": ages.method, "version": VERSION}
    if ages.method == "prototypes":
        said |= {"strength": ages.strength, "prototypes": prototypes_of(table, store, cuts, ages.min_people)}
    elif ages.method != "none":
        said |= ages.model_dump(mode="json", include=set(_OF_NETWORKS))
        said["network"] = hashlib.sha256(require_file(ages.network_path).read_bytes()).hexdigest()
    text = json.dumps(said, sort_keys=True)
    load_mover(text, store.workspace)
    return text


@lru_cache(maxsize=4)
def load_mover(said: str, workspace: Path) -> AgeMover:
    """The function that `describe_mover` describes; its prototypes are looked for in the workspace."""
    values = json.loads(said)
    sha256 = values.get("prototypes")
    settings = AgeSettings(**{key: values[key] for key in ("method", "strength", *_OF_NETWORKS) if key in values})
    return make_mover(settings, workspace / "ages" / f"{sha256}.npz" if sha256 else None, sha256)
