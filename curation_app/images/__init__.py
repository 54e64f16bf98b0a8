"""TODO curation_app.images."""

from curation_app.images.manifest_rows import Faces, load_faces
from curation_app.images.page_thumbnails import Picture, make_ahead, pictures

__all__ = ["Faces", "Picture", "load_faces", "make_ahead", "pictures"]
