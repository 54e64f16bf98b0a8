"""Corrections of labels: the record, the logs that hold records, the latest annotations, and `apply`."""

from data_manifests.corrections.annotations import Annotation, claims_by_group
from data_manifests.corrections.annotator_log import AnnotationHistory, AnnotatorLog, LabelKey
from data_manifests.corrections.apply import OPEN, OUTCOMES, apply_to_store
from data_manifests.corrections.exclusions import COLUMNS as EXCLUSION_COLUMNS
from data_manifests.corrections.exclusions import excluded_by, is_excluded_by_correction
from data_manifests.corrections.lines import to_line
from data_manifests.corrections.log import (
    LogReader,
    append_correction,
    append_corrections,
    read_corrections,
)
from data_manifests.corrections.record import (
    CHOICES,
    CLASS_PREFIX,
    COLUMNS,
    FIELDS,
    UNSURE,
    Correction,
    Label,
    is_name,
)

__all__ = [
    "CHOICES",
    "CLASS_PREFIX",
    "COLUMNS",
    "EXCLUSION_COLUMNS",
    "FIELDS",
    "OPEN",
    "OUTCOMES",
    "UNSURE",
    "Annotation",
    "AnnotationHistory",
    "AnnotatorLog",
    "Correction",
    "Label",
    "LabelKey",
    "LogReader",
    "append_correction",
    "append_corrections",
    "apply_to_store",
    "claims_by_group",
    "excluded_by",
    "is_excluded_by_correction",
    "is_name",
    "read_corrections",
    "to_line",
]
