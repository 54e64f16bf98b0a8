"""TODO train.reports."""

from train.reports.figures import confusion_png
from train.reports.pages import label_text, render
from train.reports.report import write_report
from train.reports.summary import summarise

__all__ = ["confusion_png", "label_text", "render", "summarise", "write_report"]
