"""The Grid page."""

from curation_app.grid.page import page, warm

__all__ = ["page", "warm"]
