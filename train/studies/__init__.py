"""TODO train.studies."""

from train.studies.compare_manifests import compare_manifests

__all__ = ["compare_manifests"]
