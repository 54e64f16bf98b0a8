"""Photos on disk: reading and writing one image, and folders of images without a manifest."""

from pipeline.photos.folders import checked_folders, find_pictures, output_names, write_report
from pipeline.photos.images import SUFFIXES, encode, load_rgb, save_rgb

__all__ = [
    "SUFFIXES",
    "checked_folders",
    "encode",
    "find_pictures",
    "load_rgb",
    "output_names",
    "save_rgb",
    "write_report",
]
