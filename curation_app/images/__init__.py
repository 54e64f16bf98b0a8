"""The rows of a manifest version and the thumbnails of its pictures."""

from curation_app.images.manifest_rows import ManifestRows, load_manifest_rows, photo_title
from curation_app.images.person_thumbnails import PersonThumbnails
from curation_app.images.thumbnails import Thumbnail, load_thumbnails, prefetch_thumbnails

__all__ = [
    "ManifestRows",
    "PersonThumbnails",
    "Thumbnail",
    "load_manifest_rows",
    "load_thumbnails",
    "photo_title",
    "prefetch_thumbnails",
]
