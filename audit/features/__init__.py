"""TODO audit.features."""

from audit.features.extract import Features, describe_rows
from audit.features.quality import LIMITS, odd_sizes

__all__ = ["LIMITS", "Features", "describe_rows", "odd_sizes"]
