"""Rendering of a person in a snapshot: layers, lighting, camera, and the true landmarks."""

from synth.demo_faces.rendering.portrait import PersonModel, apply_camera, build_model, encode_jpeg, render_snapshot

__all__ = ["PersonModel", "apply_camera", "build_model", "encode_jpeg", "render_snapshot"]
