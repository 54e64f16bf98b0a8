"""Photo files: which are read, one guarded way to open them, and one to decode them."""

from data_manifests.photo_files.decoding import check_jpeg, open_image
from data_manifests.photo_files.depth import is_dark, is_deep_rgb, value_scale
from data_manifests.photo_files.formats import FORMATS, MAX_BYTES, MAX_PIXELS, SUFFIXES, is_image_name
from data_manifests.photo_files.listing import FolderFiles, list_files
from data_manifests.photo_files.names import check_relative, file_key, is_hash, short_name
from data_manifests.photo_files.opening import PhotoFile, open_photo, photo_sha256, read_photo

__all__ = [
    "FORMATS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "SUFFIXES",
    "FolderFiles",
    "PhotoFile",
    "check_jpeg",
    "check_relative",
    "file_key",
    "is_dark",
    "is_deep_rgb",
    "is_hash",
    "is_image_name",
    "list_files",
    "open_image",
    "open_photo",
    "photo_sha256",
    "read_photo",
    "short_name",
    "value_scale",
]
