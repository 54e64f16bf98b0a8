"""Splits and folds of people and of those who share a photo, and the balance of strata."""

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
from data_manifests.splits.groups import AUDIT_COLUMNS, PersonGroups, group_people, newest_audit
from data_manifests.splits.leaks import Leak, find_leaks, leak_note
from data_manifests.splits.strata import strata_lines

__all__ = [
    "AUDIT_COLUMNS",
    "Leak",
    "PersonGroups",
    "assign_splits",
    "check_no_leak",
    "count_people",
    "find_leaks",
    "group_people",
    "keep_splits",
    "lacks_validation",
    "leak_note",
    "newest_audit",
    "newest_with_splits",
    "shortfall",
    "strata_lines",
    "stratum_counts",
    "without_splits",
    "without_training_split",
]
