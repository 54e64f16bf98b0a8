"""The Runs page."""

from curation_app.runs.page import page

__all__ = ["page"]
