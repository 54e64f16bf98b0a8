"""TODO reporting.dataset."""

from reporting.dataset.census import COLUMNS, EVERYTHING, Census, take_census
from reporting.dataset.class_charts import figures, version_figure
from reporting.dataset.colour_charts import colour_figure
from reporting.dataset.report import data_url, mean_grid, write_report

__all__ = [
    "COLUMNS",
    "EVERYTHING",
    "Census",
    "colour_figure",
    "data_url",
    "figures",
    "mean_grid",
    "take_census",
    "version_figure",
    "write_report",
]
