"""The Review page."""

from curation_app.review.page import page, warm

__all__ = ["page", "warm"]
