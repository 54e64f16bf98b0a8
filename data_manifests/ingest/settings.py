"""A layout's options as they are typed → the arguments of its function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_manifests.errors import ConfigError

_OPTIONS_OF = {"table": ("map", "value", "csv", "images", "mask"), "utkface": ("mask",)}


def layout_settings(layout: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options as the layout's function takes them. Raises ConfigError for one that is not its own."""
    for option in given:
        if option not in _OPTIONS_OF.get(layout, ()):
            fitting = [name for name, options in _OPTIONS_OF.items() if option in options]
            raise ConfigError(f"--{option} belongs to --layout {' or '.join(fitting)}. Got --layout {layout} instead.")
    settings: dict[str, Any] = {name: given[name] for name in ("csv", "images") if name in given}
    if "mask" in given:
        settings["mask"] = None if given["mask"] == "unknown" else given["mask"]
    if "map" in given:
        settings["columns"] = dict(_pair(text, "--map FIELD=COLUMN") for text in given["map"])
    if "value" in given:
        pairs = [_pair(text, "--value FIELD:WORD=OURS") for text in given["value"]]
        if any(":" not in left for left, _ in pairs):
            raise ConfigError(
                f"--value is written FIELD:WORD=OURS, such as mask:Masked=worn. Got {given['value']} instead."
            )
        settings["words"] = {tuple(left.split(":", 1)): right for left, right in pairs}
    return settings


def _pair(text: str, usage: str) -> tuple[str, str]:
    left, sign, right = text.rpartition("=")
    if not sign or not left or not right:
        raise ConfigError(f"an option must be written {usage}. Got {text!r} instead.")
    return left, right
