"""Results of an audit: manifest columns, the order of the queue and the HTML report."""

from audit.results.columns import add_columns
from audit.results.ranking import order_issues, rank_people
from audit.results.report import count_issues, write_report

__all__ = ["add_columns", "count_issues", "order_issues", "rank_people", "write_report"]
