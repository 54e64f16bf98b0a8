"""TODO synth.demo_faces.rendering."""

from synth.demo_faces.rendering.render import Model, build_model, develop, encode, render_shot

__all__ = ["Model", "build_model", "develop", "encode", "render_shot"]
