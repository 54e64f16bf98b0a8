"""Annotations in the app: the logs of a manifest, all annotators' labels, and the progress of the review."""

from curation_app.annotations.annotation_set import AnnotationSet, annotators_in, read_annotation_set
from curation_app.annotations.log_files import correction, log_folder, log_path, log_paths, value_of
from curation_app.annotations.review_progress import ReviewProgress

__all__ = [
    "AnnotationSet",
    "ReviewProgress",
    "annotators_in",
    "correction",
    "log_folder",
    "log_path",
    "log_paths",
    "read_annotation_set",
    "value_of",
]
