"""The seven photos of one person: one bare face, five worn masks, one mask worn wrongly."""

from __future__ import annotations

import cv2
import numpy as np

from data_manifests.errors import StageError
from data_manifests.taxonomy import SHOT_MASK, SHOTS
from synth.demo_faces.parameters import Person, sample_shot
from synth.demo_faces.rendering import Model, build_model, develop, encode, render_shot
from synth.masks import TYPES, WEARS, compose

WRONG_WEARS = tuple(w for w in WEARS if w != "worn")
ATTEMPTS = 6  # poses tried until a mask of the wanted type and wear fits


def render_profile(person: Person, seed: int, shots: tuple[str, ...] = SHOTS) -> dict[str, bytes]:
    """The person's photos as JPEG bytes by shot name, 384 x 512 RGB; the same arguments give the same bytes.

    Picklable and self-contained, so that a process pool can run it.
    """
    model = build_model(person)
    rng = np.random.default_rng([seed, person.number, 0])
    types = [str(t) for t in rng.permutation(TYPES)]
    wear = str(rng.choice(WRONG_WEARS))
    out = {}
    for i, shot in enumerate(SHOTS):
        if shot not in shots:
            continue
        mask = SHOT_MASK[shot]
        kind = "" if mask == "none" else types[i % len(types)]
        out[shot] = _photo(model, [seed, person.number, i + 1], kind, wear if mask == "incorrect" else "worn")
    return out


def _photo(model: Model, seed: list[int], mask_type: str, wear: str) -> bytes:
    """One photo; an awkward pose that cannot carry the mask is taken again."""
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng([*seed, attempt])
        shot = sample_shot(rng)
        portrait = render_shot(model, shot)
        image = portrait.image
        if mask_type:
            try:
                mask_seed = int(rng.integers(2**31))
                image = compose(image, portrait.landmarks_xy, mask_type=mask_type, wear=wear, seed=mask_seed).image
            except StageError:
                if attempt == ATTEMPTS - 1:
                    raise
                continue
        return encode(develop(image, shot), shot.jpeg_quality)
    raise AssertionError("unreachable: the last attempt returns or raises")


def encode_again(jpeg: bytes, quality: int) -> bytes:
    """The same picture with other bytes, as after a trip through a messenger."""
    image = np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    return encode(np.ascontiguousarray(image[..., ::-1]), quality)
