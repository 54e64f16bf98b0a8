"""Photos with features drawn from known labels, for tests of the audit checks."""

from __future__ import annotations

import numpy as np
import pandas as pd

from audit.features import Features
from data_manifests.taxonomy import SHOT_MASK, SHOTS

PEOPLE = 40


def draw_photos(rng: np.random.Generator) -> tuple[pd.DataFrame, Features]:
    """Return rows and features of PEOPLE with seven shots.

    Gender and age are in the appearance, people in the identity, masks in the lower face.
    """
    people = np.repeat(np.arange(PEOPLE), 7)
    n = len(people)
    female, ages = np.arange(PEOPLE) % 2, rng.integers(18, 70, PEOPLE)
    shot = np.tile(SHOTS, PEOPLE)
    mask = np.array([SHOT_MASK[name] for name in shot])
    identity = rng.standard_normal((PEOPLE, 32))[people] * 0.12 + rng.standard_normal((n, 32)) * 0.02
    appearance = rng.standard_normal((n, 12)) * 0.1
    appearance[:, 0] += female[people]
    appearance[:, 1] += ages[people] / 20
    lower = rng.standard_normal((n, 8)) * 0.45 + np.eye(8)[np.unique(mask, return_inverse=True)[1]] * 2
    rows = pd.DataFrame(
        {
            "sample_id": [f"s{i:04d}" for i in range(n)], "person_id": [f"p{i:03d}" for i in people],
            "profile_id": [f"p{i:03d}" for i in people], "shot": shot, "mask": mask,
            "gender": np.where(female[people] == 1, "female", "male"), "age": ages[people],
            "age_class": np.digitize(ages[people], [30, 60]), "split": None, "sha256": [f"h{i}" for i in range(n)],
            "width_px": 384, "height_px": 512, "root": "drawn", "path": [f"{i}.jpg" for i in range(n)],
        }
    )  # fmt: skip
    one, no = np.ones(n, np.float32), np.zeros(n, bool)
    features = Features(
        np.arange(n), *(block.astype(np.float32) for block in (identity, appearance, lower)), one, one, one,
        np.ones(n, np.int32), no, no, rng.integers(0, 1 << 63, n, dtype=np.uint64),
        rng.integers(0, 255, (n, 768)).astype(np.uint8), {}, 0,
    )  # fmt: skip
    return rows, features
