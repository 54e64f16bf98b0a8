"""The contents of a version: counts, charts, mean images by class, and the HTML dataset report."""

from reporting.dataset.census import COLUMNS, EVERYTHING, Census, take_census
from reporting.dataset.class_charts import census_figures, version_figure
from reporting.dataset.colour_charts import colour_figure
from reporting.dataset.report import label_tile, mean_grid, mean_title, write_report

__all__ = [
    "COLUMNS",
    "EVERYTHING",
    "Census",
    "census_figures",
    "colour_figure",
    "label_tile",
    "mean_grid",
    "mean_title",
    "take_census",
    "version_figure",
    "write_report",
]
