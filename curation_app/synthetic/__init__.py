"""The Synthetic page: pictures made by `synth`, to be accepted or rejected."""

from curation_app.synthetic.page import page, warm

__all__ = ["page", "warm"]
