"""Users' own masks: RGBA pictures with key points."""

from __future__ import annotations

from dataclasses import dataclass

from synth.masks.draw import Template
from synth.masks.types import MaskType


@dataclass(frozen=True)
class UserTemplate:
    """A user's mask: one `Template` per size, largest first, and its row of the table."""

    name: str
    kind: MaskType
    sizes: tuple[Template, ...]
    sha256: str

    def at_width(self, width_px: float) -> Template:
        """The smallest size that is at least `width_px` wide, else the largest."""
        fits = [t for t in self.sizes if t.key_xy[:, 0].max() - t.key_xy[:, 0].min() >= width_px]
        return fits[-1] if fits else self.sizes[0]
