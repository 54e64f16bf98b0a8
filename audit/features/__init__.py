"""Features of each picture: face vectors, quality measures, perceptual hash and thumbnail."""

from audit.features.extract import Features, describe_rows
from audit.features.quality_measures import LIMITS, odd_sizes

__all__ = ["LIMITS", "Features", "describe_rows", "odd_sizes"]
