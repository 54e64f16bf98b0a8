"""Pictures with one face each: a photo, rendered people, and real portraits where they are available."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.data import astronaut

from synth.demo_faces.parameters.sampling import make_people, sample_snapshot
from synth.demo_faces.rendering.portrait import Portrait, build_model, render_snapshot

FACES_DIR = os.environ.get("FACES_DIR")


@lru_cache
def rendered_portraits() -> list[Portrait]:
    """Return four rendered people with their true landmarks."""
    rng = np.random.default_rng(1)
    return [render_snapshot(build_model(person), sample_snapshot(rng)) for person in make_people(4, rng)]


@lru_cache
def portrait_images() -> list[np.ndarray]:
    """Return scikit-image's astronaut, the rendered people, and every 60th real portrait, RGB uint8 (H, W, 3)."""
    real = sorted(Path(FACES_DIR).rglob("*.jpg"))[::60] if FACES_DIR else []
    return [astronaut(), *(shot.image for shot in rendered_portraits()), *(np.array(Image.open(path)) for path in real)]
