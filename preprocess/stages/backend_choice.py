"""The backend of a step, chosen by name and checked before any image is read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from data_manifests.errors import ConfigError, must_be_one_of
from pipeline.backends import Backend, load_backend


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
