"""The table of backends, and how one is loaded by name.

A backend is a module with `make(**params)`, which loads the model and returns a function; a `VERSION`, which is part of
the key of every result; and, if it needs files that may be absent, `check(**params)`, which raises BackendError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from data_manifests.errors import BackendError, must_be_one_of
from pipeline.step import Step

BACKENDS: dict[str, dict[str, str]] = {
    "detector": {"mtcnn": "pipeline.faces.backends.mtcnn"},
    "landmarker": {"dlib68": "pipeline.faces.backends.dlib68", "five_points": "pipeline.faces.backends.five_points"},
    "embedder": {"dlib_face": "pipeline.faces.backends.dlib_embedding"},
    "describer": {
        "dlib_layers": "audit.features.backends.dlib_layers",
        "timm": "audit.features.backends.timm_face",
        "onnx": "audit.features.backends.onnx_face",
    },
    "ager": {"torchscript": "synth.ages.backends.torchscript_model", "onnx": "synth.ages.backends.onnx_model"},
    "remover": {"rembg": "preprocess.backends.rembg_remover", "grabcut": "preprocess.backends.grabcut"},
}

RECORDED_STEPS = ("detect", "landmarks", "crop", "background")  # that a version names, with their parameters
_STEP_MAKER = "preprocess.recorded"  # the module whose `steps_of` makes them again


@dataclass(frozen=True)
class Backend:
    """A backend module that is imported; its model is loaded by `make`."""

    name: str
    version: str
    make: Callable[..., Any]
    check: Callable[..., None]


def load_backend(kind: str, name: str) -> Backend:
    """Import one backend. Raises BackendError that lists the allowed names for an unknown one."""
    if name not in BACKENDS[kind]:
        raise BackendError(must_be_one_of(kind, BACKENDS[kind], name))
    module = import_module(BACKENDS[kind][name])
    return Backend(name, f"{name}@{module.VERSION}", module.make, getattr(module, "check", _nothing_to_check))


def load_recorded_steps(recorded: Mapping[str, Mapping[str, Any]]) -> list[Step]:
    """Return some of RECORDED_STEPS by name and recorded parameters. Raises StageError if they cannot be repeated."""
    steps: list[Step] = import_module(_STEP_MAKER).steps_of(recorded)
    return steps


def _nothing_to_check(**params: Any) -> None:
    """Accept any parameters: most backends need no file that may be absent."""
