"""Photos on disk: reading and writing one image, and folders of images without a manifest."""

from data_manifests.photo_files import (
    SUFFIXES,
    FolderFiles,
    PhotoFile,
    file_key,
    is_hash,
    open_image,
    open_photo,
    photo_sha256,
    read_photo,
)
from pipeline.photos.folders import checked_folders, find_pictures, list_pictures, output_names, write_report
from pipeline.photos.images import encode, load_rgb, save_rgb

__all__ = [
    "SUFFIXES",
    "FolderFiles",
    "PhotoFile",
    "checked_folders",
    "encode",
    "file_key",
    "find_pictures",
    "is_hash",
    "list_pictures",
    "load_rgb",
    "open_image",
    "open_photo",
    "output_names",
    "photo_sha256",
    "read_photo",
    "save_rgb",
    "write_report",
]
