"""Layouts with annotation files of other tools: Hugging Face imagefolder, Label Studio and COCO."""

from data_manifests.ingest.annotation_files.coco import ingest_coco, is_coco, read_coco
from data_manifests.ingest.annotation_files.imagefolder import ingest_imagefolder, read_imagefolder
from data_manifests.ingest.annotation_files.label_studio import ingest_label_studio, is_label_studio, read_label_studio
from data_manifests.ingest.annotation_files.listing import Listing, find_files, read_json

__all__ = [
    "Listing",
    "find_files",
    "ingest_coco",
    "ingest_imagefolder",
    "ingest_label_studio",
    "is_coco",
    "is_label_studio",
    "read_coco",
    "read_imagefolder",
    "read_json",
    "read_label_studio",
]
