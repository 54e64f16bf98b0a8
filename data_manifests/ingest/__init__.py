"""Ingest of a photo folder into a manifest table: one module per layout of the source, and detection of the layout.

    profiles      train.csv and images/<path>/{normal,mask1,…,mask5,incorrect_mask}.<any image extension>
    table         a CSV with one row per photo and any column names
    utkface       [age]_[gender]_[race]_[date].jpg
    folder        folders named after the labels
    imagefolder   metadata.csv or metadata.jsonl with the column file_name (Hugging Face datasets)
    label_studio  JSON or JSON_MIN export of Label Studio
    coco          JSON with images, annotations and categories
    plain         photos without labels

Every listed photo becomes a row. A problem with a photo is written to its `reason` and makes its status `failed`; only
a source that cannot be read at all (no train.csv, a missing column) raises ManifestError.
"""

from collections.abc import Callable

import pyarrow as pa

from data_manifests.ingest.annotation_files import ingest_coco, ingest_imagefolder, ingest_label_studio
from data_manifests.ingest.detection import DetectedLayout, detect_layout
from data_manifests.ingest.folder import ingest_folder
from data_manifests.ingest.photo_rows import with_former_ids
from data_manifests.ingest.plain import ingest_plain
from data_manifests.ingest.profiles import ingest_profiles
from data_manifests.ingest.table import ingest_table
from data_manifests.ingest.utkface import ingest_utkface

LAYOUTS: dict[str, Callable[..., pa.Table]] = {
    "profiles": ingest_profiles,
    "table": ingest_table,
    "utkface": ingest_utkface,
    "folder": ingest_folder,
    "imagefolder": ingest_imagefolder,
    "label_studio": ingest_label_studio,
    "coco": ingest_coco,
    "plain": ingest_plain,
}

__all__ = [
    "LAYOUTS",
    "DetectedLayout",
    "detect_layout",
    "ingest_coco",
    "ingest_folder",
    "ingest_imagefolder",
    "ingest_label_studio",
    "ingest_plain",
    "ingest_profiles",
    "ingest_table",
    "ingest_utkface",
    "with_former_ids",
]
