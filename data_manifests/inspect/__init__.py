"""Read-only views of versions: differences, the lineage of a row, checks of files, text for a terminal."""

from data_manifests.inspect.diff import FIELDS, Diff, diff
from data_manifests.inspect.diff_json import DIFF_COLUMNS, diff_as_json
from data_manifests.inspect.lineage import lineage, lineage_lines
from data_manifests.inspect.verify import verify

__all__ = ["DIFF_COLUMNS", "FIELDS", "Diff", "diff", "diff_as_json", "lineage", "lineage_lines", "verify"]
