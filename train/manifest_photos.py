"""The photos behind a manifest's rows: their names in the ingested folder, and how far they have been prepared."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.schema import USABLE
from data_manifests.versions import Manifest, Store
from pipeline.runs import Run
from train.photo_folder import changes_pictures, recorded_steps


def original_names(manifest: Manifest, store: Store) -> dict[str, str]:
    """Return the path of the ingested photo by the sample_id of each row that was made from one.

    Synthetic rows are left out: several come from one photo.
    """
    version, paths = manifest.version, dict[str, str]()
    for earlier in store.readable(version.name)[0]:
        if earlier.operation == "ingest" and earlier.number <= version.number:
            photos = store.read(earlier.ref, ["sample_id", "path"]).table
            paths |= dict(zip(photos["sample_id"].to_pylist(), photos["path"].to_pylist(), strict=True))
    rows = manifest.table.filter(pc.invert(manifest.table["is_synthetic"])).select(["sample_id", "source_id"])
    return {row["sample_id"]: paths[row["source_id"]] for row in rows.to_pylist() if row["source_id"] in paths}


def missing_steps(run: Run, manifest: Manifest) -> list[str]:
    """Return the steps that made the pictures that a run was trained on, but not those of a manifest."""
    table = manifest.table
    made_by = table["made_by"].filter(pc.is_in(table["status"], pa.array(USABLE)))
    return [
        name
        for name in changes_pictures(recorded_steps(run))
        if not pc.any(pc.match_substring_regex(made_by, f"(^|; ){name}:")).as_py()
    ]
