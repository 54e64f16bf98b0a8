"""Studies over several runs: comparison of manifests, split leakage, cross-validation."""

from train.studies.compare import compare_manifests
from train.studies.cross_validation import cross_validate

__all__ = ["compare_manifests", "cross_validate"]
