"""Ingest of a photo folder into a manifest table: one module per layout of the source.

    profiles   train.csv and images/<path>/{normal,mask1,…,mask5,incorrect_mask}.<any image extension>
    table      a CSV with one row per photo and any column names
    utkface    [age]_[gender]_[race]_[date].jpg
    folder     folders named after the labels

Every listed photo becomes a row. A problem with a photo is written to its `reason` and makes its status `failed`; only
a source that cannot be read at all (no train.csv, a missing column) raises ManifestError.
"""

from collections.abc import Callable

import pyarrow as pa

from data_manifests.ingest.folder import ingest_folder
from data_manifests.ingest.image_info import FORMATS, MAX_PIXELS
from data_manifests.ingest.profiles import ingest_profiles
from data_manifests.ingest.table import ingest_table
from data_manifests.ingest.utkface import ingest_utkface

LAYOUTS: dict[str, Callable[..., pa.Table]] = {
    "profiles": ingest_profiles,
    "table": ingest_table,
    "utkface": ingest_utkface,
    "folder": ingest_folder,
}

__all__ = [
    "FORMATS",
    "LAYOUTS",
    "MAX_PIXELS",
    "ingest_folder",
    "ingest_profiles",
    "ingest_table",
    "ingest_utkface",
]
