"""Rendered demo people: portraits from a height field with known labels, and a demo data set with label errors."""

from synth.demo_faces.dataset.demo_dataset import write_demo
from synth.demo_faces.dataset.truth_review import review

__all__ = ["review", "write_demo"]
