"""TODO data_manifests.corrections."""

from data_manifests.corrections.apply import OUTCOMES, apply_to_store
from data_manifests.corrections.record import (
    CHOICES,
    CLASS_PREFIX,
    COLUMNS,
    FIELDS,
    UNSURE,
    Correction,
    append_correction,
    append_corrections,
    is_name,
    read_corrections,
    read_header,
    read_record,
    to_line,
)
from data_manifests.corrections.targets import EXCLUDED_BY

__all__ = [
    "CHOICES",
    "CLASS_PREFIX",
    "COLUMNS",
    "EXCLUDED_BY",
    "FIELDS",
    "OUTCOMES",
    "UNSURE",
    "Correction",
    "append_correction",
    "append_corrections",
    "apply_to_store",
    "is_name",
    "read_corrections",
    "read_header",
    "read_record",
    "to_line",
]
