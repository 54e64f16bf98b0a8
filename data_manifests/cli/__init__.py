"""The command line `facecurate`: each command calls the functions of one sub-package."""

from data_manifests.cli.ingest import (
    PHOTOS,
    Source,
    default_name,
    detection_lines,
    ingest_photos,
    move_photos_tag,
    read_source,
)
from data_manifests.cli.layout_options import layout_options
from data_manifests.cli.main import cli

__all__ = [
    "PHOTOS",
    "Source",
    "cli",
    "default_name",
    "detection_lines",
    "ingest_photos",
    "layout_options",
    "move_photos_tag",
    "read_source",
]
