"""Read-only views of versions: differences, the lineage of a row, verification of files, summaries as text."""

from data_manifests.inspect.diff import DIFF_COLUMNS, FIELDS, Diff, diff, diff_as_json
from data_manifests.inspect.lineage import lineage, lineage_lines
from data_manifests.inspect.next_command import APP, NEXT_COLUMNS, next_command
from data_manifests.inspect.summary import class_lines, failure_lines, log_lines, row_lines, split_lines, version_lines
from data_manifests.inspect.verify import verify

__all__ = [
    "APP",
    "DIFF_COLUMNS",
    "FIELDS",
    "NEXT_COLUMNS",
    "Diff",
    "class_lines",
    "diff",
    "diff_as_json",
    "failure_lines",
    "lineage",
    "lineage_lines",
    "log_lines",
    "next_command",
    "row_lines",
    "split_lines",
    "verify",
    "version_lines",
]
