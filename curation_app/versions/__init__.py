"""The Versions page."""

from curation_app.versions.page import page

__all__ = ["page"]
