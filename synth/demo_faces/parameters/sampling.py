"""Sampling of people and snapshots.

Gender and age show in many weak cues. Every cue mixes one latent strength per person with its own noise, and the ranges
of the groups overlap, so that no single cue reveals a label and a good model stays short of perfect, as on real photos.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from synth.demo_faces.parameters.appearance import (
    sample_eyes,
    sample_face_shape,
    sample_hair,
    sample_outfit,
    sample_skin,
    sample_skin_tone,
)
from synth.demo_faces.parameters.person import Person, Snapshot

# The competition's training set: 2700 people by age class, and about three women to two men.
AGE_CLASS_COUNTS: Final = (1281, 1227, 192)
FEMALE_SHARE: Final = 0.61
LATE_FIFTIES_SHARE: Final = (
    1 / 6
)  # of the middle class, aged 57 to 59: people with an old appearance and the label middle


def sample_person(number: int, gender: str, age: int, rng: np.random.Generator) -> Person:
    """Draw a person of the given true gender ("male" or "female") and age in years."""
    male = float(rng.normal(1.0 if gender == "male" else -1.0, 0.66))
    apparent_age = float(np.clip(age + rng.normal(0.0, 3.5), 15, 90))  # apparent age differs from age
    old = float(np.clip((apparent_age - 21.0) / 52.0, 0.0, 1.12))
    dark = float(np.clip(rng.beta(1.25, 1.75), 0.0, 1.0))
    tone = sample_skin_tone(dark, rng)
    hair = sample_hair(rng, male, apparent_age, old, dark)
    return Person(
        number=number,
        gender=gender,
        age=age,
        seed=int(rng.integers(2**31)),
        face=sample_face_shape(rng, male, old),
        eyes=sample_eyes(rng, male, old, dark),
        skin=sample_skin(rng, gender, male, old, tone, dark),
        hair=hair,
        outfit=sample_outfit(rng, male, old),
    )


def sample_snapshot(rng: np.random.Generator) -> Snapshot:
    """Draw pose, expression, light and camera of a snapshot."""
    return Snapshot(
        seed=int(rng.integers(2**31)),
        yaw_deg=float(np.clip(rng.normal(0, 8.0), -18, 18)),
        roll_deg=float(np.clip(rng.normal(0, 3.2), -8, 8)),
        scale_px=float(rng.uniform(64, 74)),
        eye_x_px=float(192 + np.clip(rng.normal(0, 7), -20, 20)),
        eye_y_px=float(232 + np.clip(rng.normal(0, 8), -20, 20)),
        smile=float(np.clip(rng.normal(0.42, 0.38), -0.3, 1.1)),
        brow_raise=float(np.clip(rng.normal(0, 0.35), -0.8, 1.0)),
        squint=float(np.clip(rng.normal(0.05, 0.15), -0.2, 0.5)),
        gaze=float(rng.normal(0, 0.10)),
        light_azimuth_deg=float(np.clip(rng.normal(0, 32), -62, 62)),
        light_elevation_deg=float(rng.uniform(18, 52)),
        ambient=float(rng.uniform(0.24, 0.42)),
        exposure=float(np.exp(rng.normal(-0.02, 0.09))),
        warmth=float(rng.normal(0.0, 0.035)),
        noise=float(rng.uniform(0.003, 0.011)),
        blur_px=float(rng.uniform(0.25, 0.75)),
        jpeg_quality=int(rng.integers(84, 96)),
    )


def sample_age(rng: np.random.Generator) -> int:
    """Draw an age in years with the competition's imbalance."""
    weights = np.array(AGE_CLASS_COUNTS, np.float64)
    group = int(rng.choice(3, p=weights / weights.sum()))
    if group == 0:
        return int(np.clip(round(rng.triangular(18, 21, 29.49)), 18, 29))
    if group == 1:
        if rng.random() < LATE_FIFTIES_SHARE:
            return int(rng.integers(57, 60))
        return int(rng.integers(30, 57))
    return int(min(85, 60 + rng.gamma(1.6, 4.0)))


def make_people(n: int, rng: np.random.Generator) -> list[Person]:
    """Draw `n` people numbered from 1, with the competition's shares of ages and genders."""
    people = []
    for number in range(1, n + 1):
        gender = "female" if rng.random() < FEMALE_SHARE else "male"
        people.append(sample_person(number, gender, sample_age(rng), rng))
    return people
