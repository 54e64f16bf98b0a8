"""Files of one format each: guarded readers that raise a ToolkitError with file, place and remedy; CSV cells."""

from data_manifests.files.csv_file import (
    CsvLine,
    csv_bytes,
    csv_lines,
    harmless,
    plain_text,
    read_csv_frame,
    read_csv_text,
    separator_of,
    write_csv_rows,
)
from data_manifests.files.json_file import parse_json, read_json
from data_manifests.files.onnx_file import load_onnx
from data_manifests.files.parquet_file import open_parquet, read_parquet
from data_manifests.files.regular_file import in_one_line, read_regular_file
from data_manifests.files.sqlite_file import open_database
from data_manifests.files.yaml_file import parse_yaml, read_yaml

__all__ = [
    "CsvLine",
    "csv_bytes",
    "csv_lines",
    "harmless",
    "in_one_line",
    "load_onnx",
    "open_database",
    "open_parquet",
    "parse_json",
    "parse_yaml",
    "plain_text",
    "read_csv_frame",
    "read_csv_text",
    "read_json",
    "read_parquet",
    "read_regular_file",
    "read_yaml",
    "separator_of",
    "write_csv_rows",
]
