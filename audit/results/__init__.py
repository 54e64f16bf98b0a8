"""TODO audit.results."""

from audit.results.columns import add_columns
from audit.results.ranking import queue, rank_people
from audit.results.report import write_report

__all__ = ["add_columns", "queue", "rank_people", "write_report"]
