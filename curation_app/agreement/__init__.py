"""The Agreement page."""

from curation_app.agreement.page import page

__all__ = ["page"]
