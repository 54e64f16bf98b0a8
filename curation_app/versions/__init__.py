"""The Versions page: history and tags, a comparison of two versions, applying corrections, export."""

from curation_app.versions.page import page

__all__ = ["page"]
