"""Reading of JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from data_manifests.errors import ManifestError, ToolkitError
from data_manifests.files.regular_file import MAX_BYTES, in_one_line, read_regular_file, with_remedy


def read_json(
    path: Path,
    remedy: str = "",
    *,
    error: type[ToolkitError] = ManifestError,
    max_bytes: int = MAX_BYTES,
    kind: type[Any] = object,
) -> Any:
    """Return the content of a JSON file; with `kind` (`dict` or `list`), one whose outer value is of that type.

    Raises `error` as `read_regular_file` and `parse_json`.
    """
    data = read_regular_file(path, remedy, error=error, max_bytes=max_bytes)
    return parse_json(data, repr(str(path)), remedy, error=error, kind=kind)


def parse_json(
    text: str | bytes,
    name: str,
    remedy: str = "",
    *,
    error: type[ToolkitError] = ManifestError,
    kind: type[Any] = object,
) -> Any:
    """Return the value of a JSON text. Raises `error` with `name`, line and column of the fault, and `remedy`."""
    try:
        value = json.loads(text.decode("utf-8-sig") if isinstance(text, bytes) else text)
    except RecursionError:
        raise error(with_remedy(f"{name} is not usable JSON: it is nested too deeply.", remedy)) from None
    except (ValueError, TypeError) as cause:  # TypeError: a value from a database that is no text
        raise error(with_remedy(f"{name} is not JSON: {in_one_line(cause)}.", remedy)) from None
    if not isinstance(value, kind):
        expected = {"dict": "an object {…}", "list": "a list […]"}.get(kind.__name__, kind.__name__)
        raise error(with_remedy(f"{name} must hold {expected}. Got {type(value).__name__} instead.", remedy))
    return value
