"""Detectors, landmarkers and embedders, one module each; their heavy imports stay in these modules."""
