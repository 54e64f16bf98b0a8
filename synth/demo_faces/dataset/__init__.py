"""The demo data set: photos of rendered people, planted label errors, and corrections made from the truth."""

from synth.demo_faces.dataset.demo_dataset import write_demo
from synth.demo_faces.dataset.truth_review import review

__all__ = ["review", "write_demo"]
