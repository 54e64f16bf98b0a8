"""Checks of an audit: one module and one row of `audit/checks/table.py` each.

`run_checks` scores the photos of a manifest; `check_columns` and `list_issues` turn the scores into manifest columns
and into issues. Importing this package loads neither SciPy nor scikit-learn; `load_checks` does.
"""

from audit.checks.data import AuditData, check_columns, photo_rows, run_checks
from audit.checks.issues import LISTED, STATE_TEXT, Issue, list_issues
from audit.checks.table import (
    Check,
    all_checks,
    check_names,
    complete_weights,
    default_weights,
    find_check,
    load_checks,
    validate_table,
)

__all__ = [
    "LISTED",
    "STATE_TEXT",
    "AuditData",
    "Check",
    "Issue",
    "all_checks",
    "check_columns",
    "check_names",
    "complete_weights",
    "default_weights",
    "find_check",
    "list_issues",
    "load_checks",
    "photo_rows",
    "run_checks",
    "validate_table",
]
