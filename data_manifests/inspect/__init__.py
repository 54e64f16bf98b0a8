"""TODO data_manifests.inspect."""

from data_manifests.inspect.diff import FIELDS, Diff, diff
from data_manifests.inspect.lineage import lineage, lineage_lines
from data_manifests.inspect.verify import verify

__all__ = ["FIELDS", "Diff", "diff", "lineage", "lineage_lines", "verify"]
