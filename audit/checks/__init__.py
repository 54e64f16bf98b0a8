"""TODO audit.checks."""

from audit.checks.findings import Findings, LabelScores, find, photo_rows
from audit.checks.issues import LISTED, list_issues

__all__ = ["LISTED", "Findings", "LabelScores", "find", "list_issues", "photo_rows"]
