"""The Synthetic page."""

from curation_app.synthetic.page import page, warm

__all__ = ["page", "warm"]
