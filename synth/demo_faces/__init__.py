"""Rendered demo people: portraits from a height field with known labels, and a demo data set with label errors."""

from synth.demo_faces.dataset import review, write_demo

__all__ = ["review", "write_demo"]
