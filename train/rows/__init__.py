"""The rows of a manifest that are trained on, and the checks of them that need no torch."""

from train.rows.checks import check_landmarks, check_manifest, missing_landmarks_message
from train.rows.head_labels import auto_head, constant_labels, has_label, labels_of_rows, learnable_tasks
from train.rows.row_selection import (
    Selection,
    absent_classes,
    folds_of,
    row_usage,
    rows_with_targets,
    select_rows,
)

__all__ = [
    "Selection",
    "absent_classes",
    "auto_head",
    "check_landmarks",
    "check_manifest",
    "constant_labels",
    "folds_of",
    "has_label",
    "labels_of_rows",
    "learnable_tasks",
    "missing_landmarks_message",
    "row_usage",
    "rows_with_targets",
    "select_rows",
]
