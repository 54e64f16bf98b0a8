"""Guarded readers: one function per file format that raises a ToolkitError naming the file, the place and a remedy."""

from data_manifests.readers.json_file import parse_json, read_json
from data_manifests.readers.parquet_file import open_parquet, read_parquet
from data_manifests.readers.regular_file import in_one_line, read_regular_file
from data_manifests.readers.yaml_file import parse_yaml, read_yaml

__all__ = [
    "in_one_line",
    "open_parquet",
    "parse_json",
    "parse_yaml",
    "read_json",
    "read_parquet",
    "read_regular_file",
    "read_yaml",
]
