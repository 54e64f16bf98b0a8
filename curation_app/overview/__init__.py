"""The Overview page."""

from curation_app.overview.page import page, warm

__all__ = ["page", "warm"]
