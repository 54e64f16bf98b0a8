"""From a planned row and its person's photo to the synthetic picture: the step that the runner calls."""

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
from synth.masks import Scene, UserTemplate, compose, kept_template, read_scene
from synth.plan.age_source import load_mover
from synth.plan.variation import vary

VERSION = f"3.{MASKS_VERSION}"  # raised when the same plan row would give other bytes
PLANNED = ("mask_type", "wear", "look_seed", "seed")
MOVED = ("from_age", "to_age", "mover", "mover_gender")
"""Empty where the age stays; `mover` is the text of `synth.plan.age_source`, `mover_gender` the person's gender."""
TEMPLATE = "template_sha256"
"""Of a mask of the user's own, which is kept in the workspace under this hash; else empty."""


@dataclass
class _Look:
    """What all pictures of a profile share: the second look, aged where planned; `scene` once a mask needs it."""

    key: object
    image: np.ndarray
    landmarks_xy: np.ndarray
    age: dict[str, Any] | None
    scene: Scene | None = None


def make_render(workspace: Path) -> StepFunction:
    """The step's function. Prototypes of ages are read from the workspace when a row first needs them."""
    shared = _Shared(workspace)

    def render(record: Record, picture: np.ndarray) -> Outcome:
        look = shared.look_of(record, picture)
        recipe = {key: record[key] for key in PLANNED} | {"version": VERSION}
        if look.age is not None:
            recipe |= {key: record[key] for key in MOVED} | {"age": look.age}
        if not record["mask_type"]:
            return Outcome({"landmarks_xy": look.landmarks_xy, "recipe": json.dumps(recipe)}, look.image)
        try:
            look.scene = look.scene or read_scene(look.image, look.landmarks_xy)
            done = compose(
                look.image, look.landmarks_xy, mask_type=record["mask_type"], wear=record["wear"], seed=record["seed"],
                templates=_own(workspace, record), scene=look.scene,
            )  # fmt: skip
        except StageError as error:
            raise StageError(f"{record['mask_type']} {record['wear']}: {error}") from None
        columns = {
            "landmarks_xy": look.landmarks_xy,
            "recipe": json.dumps(recipe | {"mask": done.recipe}),
            **{f"{part}_covered_score": min(done.coverage[f"{part}_score"], 1.0) for part in ("nose", "mouth", "chin")},
        }
        return Outcome(columns, done.image)

    return render


def templates_folder(workspace: Path) -> Path:
    """Where masks of the user's own are kept."""
    return workspace / "templates"


def _own(workspace: Path, record: Record) -> dict[str, UserTemplate]:
    """The row's mask if it is one of the user's, by the name that the row has for it."""
    if not record[TEMPLATE]:
        return {}
    return {record["mask_type"]: kept_template(templates_folder(workspace), record[TEMPLATE])}


class _Shared:
    """Keeps the last look: the pictures of a profile come one after the other, and ageing one takes long."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._last: _Look | None = None

    def look_of(self, record: Record, picture: np.ndarray) -> _Look:
        key = [record["sha256"], record["landmarks_xy"], record["look_seed"], *(record[name] for name in MOVED)]
        if self._last is None or self._last.key != key:
            self._last = None  # if the next line fails, nothing is kept
            self._last = self._made(key, record, picture)
        return self._last

    def _made(self, key: object, record: Record, picture: np.ndarray) -> _Look:
        landmarks = np.asarray(record["landmarks_xy"], np.float32).reshape(68, 2)
        image, points = vary(picture, landmarks, np.random.default_rng(record["look_seed"]))
        if not record["mover"]:
            return _Look(key, image, points, None)
        move = load_mover(record["mover"], self._workspace)
        from_age, to_age = int(record["from_age"]), int(record["to_age"])
        try:
            aged = move(image, points, record["mover_gender"], from_age, to_age)
        except StageError as error:
            raise StageError(f"age {from_age} to {to_age}: {error}") from None
        return _Look(key, aged.image, aged.landmarks_xy, aged.recipe)


def render_step(workspace: Path) -> Step:
    """The step; where the workspace lies is no part of what a result depends on."""
    make: Callable[..., StepFunction] = partial(make_render, workspace)
    return Step(
        "synth",
        make,
        VERSION,
        requires=("landmarks_xy", *PLANNED, *MOVED, TEMPLATE),
        adds=("landmarks_xy", "recipe", "nose_covered_score", "mouth_covered_score", "chin_covered_score"),
    )
