"""The report of a training run: its figures, its HTML page, and the page style of the other training reports."""

from train.reports.report import render, write_report
from train.reports.summary import summarise

__all__ = ["render", "summarise", "write_report"]
