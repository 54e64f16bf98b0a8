"""The Grid page: many pictures of one class at a time, and groups of duplicates."""

from curation_app.grid.page import page, warm

__all__ = ["page", "warm"]
