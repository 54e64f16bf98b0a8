"""Splits and folds of people, and the balance of strata."""

from data_manifests.splits.assign import assign_splits, count_people, keep_splits, newest_with_splits, without_splits
from data_manifests.splits.balance import check_no_leak, shortfall, stratum_counts
from data_manifests.splits.strata import strata_lines

__all__ = [
    "assign_splits",
    "check_no_leak",
    "count_people",
    "keep_splits",
    "newest_with_splits",
    "shortfall",
    "strata_lines",
    "stratum_counts",
    "without_splits",
]
