"""The seven photos of a rendered person: one unmasked, five worn masks, one mask worn incorrectly."""

from __future__ import annotations

import cv2
import numpy as np

from data_manifests.errors import StageError
from data_manifests.taxonomy import SHOT_MASK, SHOTS
from synth.demo_faces.parameters import Person, sample_snapshot
from synth.demo_faces.rendering import PersonModel, apply_camera, build_model, encode_jpeg, render_snapshot
from synth.masks import INCORRECT_PLACEMENTS, TYPES, compose

ATTEMPTS = 6  # snapshots until a mask of the type and placement fits


def render_profile(person: Person, seed: int, shots: tuple[str, ...] = SHOTS) -> dict[str, bytes]:
    """Render the person's photos: JPEG bytes by shot name, 384 x 512 RGB. The same arguments give the same bytes.

    A module-level function, so that a process pool can run it.
    """
    model = build_model(person)
    rng = np.random.default_rng([seed, person.number, 0])
    types = [str(t) for t in rng.permutation(TYPES)]
    incorrect = str(rng.choice(INCORRECT_PLACEMENTS))
    out = {}
    for i, shot in enumerate(SHOTS):
        if shot not in shots:
            continue
        mask = SHOT_MASK[shot]
        kind = "" if mask == "none" else types[i % len(types)]
        out[shot] = _photo(model, [seed, person.number, i + 1], kind, incorrect if mask == "incorrect" else "worn")
    return out


def _photo(model: PersonModel, seed: list[int], mask_type: str, placement: str) -> bytes:
    """Render one photo; draw another snapshot if the mask does not fit the pose."""
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng([*seed, attempt])
        snapshot = sample_snapshot(rng)
        portrait = render_snapshot(model, snapshot)
        image = portrait.image
        if mask_type:
            try:
                mask_seed = int(rng.integers(2**31))
                image = compose(
                    image, portrait.landmarks_xy, mask_type=mask_type, placement=placement, seed=mask_seed
                ).image
            except StageError:
                if attempt == ATTEMPTS - 1:
                    raise
                continue
        return encode_jpeg(apply_camera(image, snapshot), snapshot.jpeg_quality)
    raise AssertionError("unreachable: the last attempt returns or raises")


def reencode_jpeg(jpeg: bytes, quality: int) -> bytes:
    """Decode a JPEG and encode it at another quality: the same image with other bytes."""
    image = np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    return encode_jpeg(np.ascontiguousarray(image[..., ::-1]), quality)
