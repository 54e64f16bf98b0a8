"""Checks of a manifest against the settings of a run, before torch is loaded, which takes seconds."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import StageError
from data_manifests.labels import UNKNOWN
from data_manifests.schema import USABLE
from data_manifests.versions import Manifest
from train.head_parts import AUTO
from train.rows.head_labels import auto_head, labels_of_rows
from train.rows.row_selection import row_usage, select_rows
from train.settings import TrainSettings


def check_manifest(manifest: Manifest, settings: TrainSettings) -> None:
    """Check that a manifest has rows to train and to validate on, labels of the head, and landmarks for an embedding.

    Raises ManifestError or StageError with the command that makes what is missing.
    """
    head = settings.model.head
    if head == AUTO:
        labels = labels_of_rows(manifest.table.filter(pa.array(row_usage(manifest.table, settings.data) == "train")))
        by_parts = bool(settings.model.embedding) or settings.model.freeze == "backbone"
        head = auto_head(labels, by_parts) if (labels != UNKNOWN).any() else "class"
    select_rows(manifest, settings.data, head)
    if settings.model.embedding:
        check_landmarks(manifest)


def check_landmarks(manifest: Manifest) -> None:
    """Check that a photo has landmarks, for an embedding. Raises StageError with the step that places them."""
    table, ref = manifest.table, manifest.version.ref
    usable = table.filter(pc.is_in(table["status"], pa.array(USABLE)))
    real = table.filter(pc.invert(table["is_synthetic"]))
    if usable["landmarks_xy"].null_count and real["landmarks_xy"].null_count == real.num_rows:
        has_boxes = real["box_xyxy"].null_count < real.num_rows
        raise StageError(f"{missing_landmarks_message(ref, has_boxes)}.")


def missing_landmarks_message(ref: str, has_boxes: bool) -> str:
    """Return the error of an embedding of a version without landmarks, with the commands that place them."""
    landmarks = f"facecurate preprocess landmarks {ref if has_boxes else ref.partition('@')[0]}"
    first = "" if has_boxes else f"facecurate preprocess detect {ref}, then "
    return (
        f"an embedding needs landmarks, and {ref} has none. Run: {first}{landmarks} (the pictures stay as they are), "
        "and train on the version that it writes"
    )
