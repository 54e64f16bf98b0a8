"""The table of what can be chosen, and how a choice is loaded.

A backend is a module with `make(**params)`, which loads the model and gives a function, a `VERSION` that goes into the
key of every result, and, if it needs files that may be absent, a `check(**params)` that raises BackendError at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from data_manifests.errors import BackendError, must_be_one_of

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


@dataclass(frozen=True)
class Backend:
    """One choice, loaded but not yet made."""

    name: str
    version: str
    make: Callable[..., Any]
    check: Callable[..., None]


def load_backend(kind: str, name: str) -> Backend:
    """Import one backend. Raises BackendError with the choices for an unknown name."""
    if name not in BACKENDS[kind]:
        raise BackendError(must_be_one_of(kind, BACKENDS[kind], name))
    module = import_module(BACKENDS[kind][name])
    return Backend(name, f"{name}@{module.VERSION}", module.make, getattr(module, "check", _nothing_to_check))


def _nothing_to_check(**params: Any) -> None:
    """Most backends bring their files along."""
