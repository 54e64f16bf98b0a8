"""The backend of a step, chosen by name and checked before any image is read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from data_manifests.errors import ConfigError, must_be_one_of
from pipeline.backends import BACKENDS, Backend, load_backend
from pipeline.weights import WEIGHTS, Weights
from preprocess.settings import BackgroundSettings

DEFAULT_MODEL = "u2net"


def choose_backend(kind: str, name: str, params: Mapping[str, Any]) -> tuple[Backend, Callable[[], None]]:
    """Return the backend and a function that checks for its files.

    Raises BackendError for an unknown name and ConfigError for a parameter that the backend does not have.
    """
    backend = load_backend(kind, name)
    known = inspect.signature(backend.make).parameters
    for key in params:
        if key not in known:
            raise ConfigError(must_be_one_of(f"parameter of {name}", known, key))
    return backend, partial(backend.check, **params)


def choose_remover(settings: BackgroundSettings) -> BackgroundSettings:
    """Return the settings with a remover for `auto`: rembg where its model file is there, else GrabCut.

    Parameters that the chosen one does not have are left out then. Raises ConfigError for an unknown name.
    """
    allowed = ("auto", "none", *BACKENDS["remover"])
    if settings.backend not in allowed:
        raise ConfigError(must_be_one_of("background.backend", allowed, settings.backend))
    if settings.backend != "auto":
        return settings
    name = "rembg" if _model_of(settings).locate() else "grabcut"
    known = inspect.signature(load_backend("remover", name).make).parameters
    params = {key: value for key, value in settings.params.items() if key in known}
    return settings.model_copy(update={"backend": name, "params": params})


def remover_line(settings: BackgroundSettings) -> str:
    """Return which remover runs, and what the other one needs where `auto` has chosen."""
    chosen = choose_remover(settings).backend
    if chosen == "none":
        return "background: kept as it is (background.backend=none)"
    if settings.backend != "auto":
        return f"background: {chosen} (background.backend={chosen})"
    if chosen == "rembg":
        file = _model_of(settings).locate()
        return f"background: rembg with {file}. background.backend=grabcut takes GrabCut, which needs no file"
    return (
        "background: GrabCut, which needs no file; a network is finer at hair and shoulders. "
        f"For rembg's network, {_model_of(settings).how_to_get()}"
    )


def _model_of(settings: BackgroundSettings) -> Weights:
    from preprocess.backends.rembg_remover import MODELS

    name = settings.params.get("model", DEFAULT_MODEL)
    if name not in MODELS:
        raise ConfigError(must_be_one_of("model", MODELS, name))
    return WEIGHTS[name]
