"""Rendered people: portraits drawn from a height field, with known truth and no real person in them."""

from synth.demo_faces.dataset.demo import write_demo
from synth.demo_faces.dataset.truth_review import review

__all__ = ["review", "write_demo"]
