"""From a planned row and its person's photo to the synthetic picture: the step that the runner calls."""

from __future__ import annotations

import json

import numpy as np

from data_manifests.errors import StageError
from pipeline.stage import Outcome, Record, Step, StepFunction
from synth.masks import compose
from synth.masks.recipe import VERSION as MASKS_VERSION
from synth.variation import vary

VERSION = f"2.{MASKS_VERSION}"  # raised when the same plan row would give other bytes
PLANNED = ("mask_type", "wear", "look_seed", "seed")


def make_render() -> StepFunction:
    """The step's function; nothing has to be loaded."""

    def render(record: Record, picture: np.ndarray) -> Outcome:
        landmarks = np.asarray(record["landmarks_xy"], np.float32).reshape(68, 2)
        look, points = vary(picture, landmarks, np.random.default_rng(record["look_seed"]))
        recipe = {key: record[key] for key in PLANNED} | {"version": VERSION}
        if not record["mask_type"]:
            return Outcome({"landmarks_xy": points, "recipe": json.dumps(recipe)}, look)
        try:
            done = compose(look, points, mask_type=record["mask_type"], wear=record["wear"], seed=record["seed"])
        except StageError as error:
            raise StageError(f"{record['mask_type']} {record['wear']}: {error}") from None
        columns = {
            "landmarks_xy": points,
            "recipe": json.dumps(recipe | {"mask": done.recipe}),
            **{f"{part}_covered_score": min(done.coverage[f"{part}_score"], 1.0) for part in ("nose", "mouth", "chin")},
        }
        return Outcome(columns, done.image)

    return render


RENDER = Step(
    "synth",
    make_render,
    VERSION,
    requires=("landmarks_xy", *PLANNED),
    adds=("landmarks_xy", "recipe", "nose_covered_score", "mouth_covered_score", "chin_covered_score"),
)
