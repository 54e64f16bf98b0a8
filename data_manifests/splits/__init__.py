"""TODO data_manifests.splits."""

from data_manifests.splits.assign import assign_splits
from data_manifests.splits.balance import check_no_leak, shortfall, stratum_counts
from data_manifests.splits.inherit import count_people, keep_splits, newest_with_splits, without_splits

__all__ = [
    "assign_splits",
    "check_no_leak",
    "count_people",
    "keep_splits",
    "newest_with_splits",
    "shortfall",
    "stratum_counts",
    "without_splits",
]
