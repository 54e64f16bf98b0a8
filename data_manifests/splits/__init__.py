"""Splits and folds of people, and the balance of strata."""

from data_manifests.splits.assign import (
    assign_splits,
    count_people,
    keep_splits,
    lacks_validation,
    newest_with_splits,
    without_splits,
    without_training_split,
)
from data_manifests.splits.balance import check_no_leak, shortfall, stratum_counts
from data_manifests.splits.leaks import Leak, find_leaks, leak_note
from data_manifests.splits.strata import strata_lines

__all__ = [
    "Leak",
    "assign_splits",
    "check_no_leak",
    "count_people",
    "find_leaks",
    "keep_splits",
    "lacks_validation",
    "leak_note",
    "newest_with_splits",
    "shortfall",
    "strata_lines",
    "stratum_counts",
    "without_splits",
    "without_training_split",
]
