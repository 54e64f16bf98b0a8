"""Detection of the layout of a source: what it was taken for, why, and the command that says so."""

from data_manifests.ingest.detection.detect_layout import detect_layout
from data_manifests.ingest.detection.detected import DetectedLayout

__all__ = ["DetectedLayout", "detect_layout"]
