"""The mask synthesiser: `compose` puts one of `TYPES`, worn in one of `WEARS`, on a face with 68 landmarks."""

from synth.masks.compose import Composite, compose, render
from synth.masks.types import TYPES
from synth.masks.wear import WEARS

__all__ = ["TYPES", "WEARS", "Composite", "compose", "render"]
