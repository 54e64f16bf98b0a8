"""One function that moves ages as the settings say, refuses what is no longer the person, and tells how it did it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import ConfigError
from pipeline.backends import load_backend
from synth.ages.identity_gate import make_gate
from synth.ages.move import VERSION, move_age
from synth.ages.network import age_by_network, require_file
from synth.ages.prototypes import load_prototypes
from synth.ages.settings import AgeSettings
from synth.ages.zones import U8

Landmarks = NDArray[np.float32]


@dataclass(frozen=True)
class Aged:
    """`image` (H, W, 3) uint8 RGB, `landmarks_xy` (68, 2) px, and for the recipe what was done, JSON."""

    image: U8
    landmarks_xy: Landmarks
    recipe: dict[str, Any]


AgeMover = Callable[[U8, Landmarks, str, int, int], Aged]  # image, landmarks_xy, gender, from_age, to_age


def make_mover(settings: AgeSettings, prototypes: Path | None = None, sha256: str | None = None) -> AgeMover:
    """Load what the settings need, once per worker. `prototypes` is the file that `prototypes_of` wrote.

    The mover raises StageError, with the reason, for a face that cannot be moved or that the gate refuses. Raises
    BackendError or StageError at once if a file is missing, ConfigError for the method `none`.
    """
    if settings.method == "none":
        raise ConfigError("synth.ages.method is none: there is nothing to move ages with.")
    if settings.method == "prototypes":
        move, made_by = _by_prototypes(settings, prototypes, sha256)
    else:
        move, made_by = _by_network(settings)
    gate = make_gate()

    def mover(image: U8, landmarks_xy: Landmarks, gender: str, from_age: int, to_age: int) -> Aged:
        aged, points = move(image, landmarks_xy, gender, from_age, to_age)
        distance = gate.check(image, landmarks_xy, aged, points)
        ages = {"from_age": from_age, "to_age": to_age, "distance": round(distance, 4)}
        return Aged(aged, points, {**made_by, **ages})

    return mover


_Move = Callable[[U8, Landmarks, str, int, int], tuple[U8, Landmarks]]


def _by_prototypes(settings: AgeSettings, file: Path | None, sha256: str | None) -> tuple[_Move, dict[str, Any]]:
    if file is None:
        raise ConfigError("synth.ages.method prototypes needs the file that prototypes_of learned.")
    loaded = load_prototypes(file, sha256)

    def move(image: U8, landmarks_xy: Landmarks, gender: str, from_age: int, to_age: int) -> tuple[U8, Landmarks]:
        done = move_age(image, landmarks_xy, gender, from_age, to_age, loaded, strength=settings.strength)
        return done.image, done.landmarks_xy

    made_by = {"method": "prototypes", "version": VERSION, "strength": settings.strength, "prototypes": sha256}
    return move, made_by


def _by_network(settings: AgeSettings) -> tuple[_Move, dict[str, Any]]:
    backend = load_backend("ager", settings.method)
    range_ = {"low": settings.low, "high": settings.high, "age_unit_years": settings.age_unit_years}
    ager = backend.make(path=settings.network_path, **range_)
    weights = hashlib.sha256(require_file(settings.network_path).read_bytes()).hexdigest()

    def move(image: U8, landmarks_xy: Landmarks, gender: str, from_age: int, to_age: int) -> tuple[U8, Landmarks]:
        return age_by_network(image, landmarks_xy, to_age, ager, settings.network_size_px), landmarks_xy

    return move, {"method": settings.method, "version": backend.version, "network": weights}
