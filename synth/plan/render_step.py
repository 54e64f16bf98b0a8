"""The step that renders one synthetic image from a plan row and its photo."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data_manifests.errors import StageError
from pipeline.stage import Outcome, Record, Step, StepFunction
from synth.masks import VERSION as MASKS_VERSION
from synth.masks import Scene, UserTemplate, compose, load_kept_template, measure_scene
from synth.plan.age_mover_spec import load_age_mover
from synth.plan.variation import MAX_TURNED_OUTSIDE_SHARE, vary

VERSION = f"3.{MASKS_VERSION}"  # increase when the same plan row gives other bytes
PLANNED = ("mask_type", "wear", "look_seed", "seed")
MOVED = ("from_age", "to_age", "mover", "mover_gender")
"""Empty where the age stays; `mover` is the text of `age_mover_spec`, `mover_gender` the person's gender."""
TEMPLATE = "template_sha256"
"""Hash of a user's template, kept in the workspace under this name; else empty."""


@dataclass
class _Variation:
    """The image that all masks of a profile are put on, aged if planned; `scene` once a mask needs it."""

    key: object
    image: np.ndarray
    landmarks_xy: np.ndarray
    age: dict[str, Any] | None
    scene: Scene | None = None


def make_render(workspace: Path) -> StepFunction:
    """Return the function of the step. Age prototypes are loaded from the workspace when a row first needs them."""
    variations = _VariationCache(workspace)

    def render(record: Record, picture: np.ndarray) -> Outcome:
        base = variations.get(record, picture)
        parameters = {key: record[key] for key in PLANNED} | {"version": VERSION}
        if base.age is not None:
            parameters |= {key: record[key] for key in MOVED} | {"age": base.age}
        if not record["mask_type"]:
            return Outcome({"landmarks_xy": base.landmarks_xy, "recipe": json.dumps(parameters)}, base.image)
        try:
            base.scene = base.scene or measure_scene(base.image, base.landmarks_xy)
            done = compose(
                base.image, base.landmarks_xy, mask_type=record["mask_type"], placement=record["wear"],
                seed=record["seed"], templates=_own_template(workspace, record), scene=base.scene,
            )  # fmt: skip
        except StageError as error:
            raise StageError(f"{record['mask_type']} {record['wear']}: {error}") from None
        columns = {
            "landmarks_xy": base.landmarks_xy,
            "recipe": json.dumps(parameters | {"mask": done.parameters}),
            **{f"{part}_covered_score": min(done.coverage[f"{part}_score"], 1.0) for part in ("nose", "mouth", "chin")},
        }
        return Outcome(columns, done.image)

    return render


def templates_folder(workspace: Path) -> Path:
    """Return the folder of the workspace that keeps templates of the user."""
    return workspace / "templates"


def _own_template(workspace: Path, record: Record) -> dict[str, UserTemplate]:
    """Return the row's template by its name in the row, or nothing for a built-in type."""
    if not record[TEMPLATE]:
        return {}
    return {record["mask_type"]: load_kept_template(templates_folder(workspace), record[TEMPLATE])}


class _VariationCache:
    """Keeps the last variation: the images of a profile come one after the other, and moving an age is slow."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._last: _Variation | None = None

    def get(self, record: Record, picture: np.ndarray) -> _Variation:
        key = [record["sha256"], record["landmarks_xy"], record["look_seed"], *(record[name] for name in MOVED)]
        if self._last is None or self._last.key != key:
            self._last = None  # if the next line fails, nothing is kept
            self._last = self._make(key, record, picture)
        return self._last

    def _make(self, key: object, record: Record, picture: np.ndarray) -> _Variation:
        landmarks = np.asarray(record["landmarks_xy"], np.float32).reshape(68, 2)
        may_turn = (record.get("outside_share") or 0) <= MAX_TURNED_OUTSIDE_SHARE
        image, points = vary(picture, landmarks, np.random.default_rng(record["look_seed"]), may_turn=may_turn)
        if not record["mover"]:
            return _Variation(key, image, points, None)
        move = load_age_mover(record["mover"], self._workspace)
        from_age, to_age = int(record["from_age"]), int(record["to_age"])
        try:
            aged = move(image, points, record["mover_gender"], from_age, to_age)
        except StageError as error:
            raise StageError(f"age {from_age} to {to_age}: {error}") from None
        return _Variation(key, aged.image, aged.landmarks_xy, aged.parameters)


def render_step(workspace: Path) -> Step:
    """Return the step. The path of the workspace is not part of the key of a result."""
    make: Callable[..., StepFunction] = partial(make_render, workspace)
    return Step(
        "synth",
        make,
        VERSION,
        requires=("landmarks_xy", *PLANNED, *MOVED, TEMPLATE),
        uses=("outside_share",),
        adds=("landmarks_xy", "recipe", "nose_covered_score", "mouth_covered_score", "chin_covered_score"),
    )
