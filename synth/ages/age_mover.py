"""The age mover: moves a face to another age by the chosen method, and refuses a face of another identity."""

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
from synth.ages.identity_gate import make_identity_gate
from synth.ages.move import VERSION, move_age
from synth.ages.prototypes import load_prototypes
from synth.ages.settings import AgeSettings
from synth.ages.user_network import age_by_network, require_file
from synth.ages.zones import U8

Landmarks = NDArray[np.float32]


@dataclass(frozen=True)
class AgedFace:
    """A face after its age was moved: `image` (H, W, 3) uint8 RGB, `landmarks_xy` (68, 2) px, `parameters` for JSON."""

    image: U8
    landmarks_xy: Landmarks
    parameters: dict[str, Any]


AgeMover = Callable[[U8, Landmarks, str, int, int], AgedFace]  # image, landmarks_xy, gender, from_age, to_age


def make_age_mover(settings: AgeSettings, prototypes: Path | None = None, sha256: str | None = None) -> AgeMover:
    """Load models and prototypes once per worker and return the mover. `prototypes` is a file of `ensure_prototypes`.

    The mover raises StageError for a face that cannot be moved or that the identity gate refuses. Raises BackendError
    or StageError if a file is missing, ConfigError for the method `none`.
    """
    if settings.method == "none":
        raise ConfigError("synth.ages.method is none. Choose prototypes, torchscript or onnx to move ages.")
    if settings.method == "prototypes":
        move, made_by = _by_prototypes(settings, prototypes, sha256)
    else:
        move, made_by = _by_network(settings)
    gate = make_identity_gate()

    def mover(image: U8, landmarks_xy: Landmarks, gender: str, from_age: int, to_age: int) -> AgedFace:
        aged, points = move(image, landmarks_xy, gender, from_age, to_age)
        distance = gate.check(image, landmarks_xy, aged, points)
        ages = {"from_age": from_age, "to_age": to_age, "distance": round(distance, 4)}
        return AgedFace(aged, points, {**made_by, **ages})

    return mover


_Move = Callable[[U8, Landmarks, str, int, int], tuple[U8, Landmarks]]


def _by_prototypes(settings: AgeSettings, file: Path | None, sha256: str | None) -> tuple[_Move, dict[str, Any]]:
    if file is None:
        raise ConfigError("synth.ages.method is prototypes, but no file of prototypes is given.")
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
