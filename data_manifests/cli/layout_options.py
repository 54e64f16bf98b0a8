"""The options of the layouts, as `ingest` and `doctor` have them, and their conversion to keyword arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from data_manifests.errors import ConfigError
from data_manifests.ingest import LAYOUTS
from data_manifests.taxonomy import MASKS

AUTO = "auto"
_Command = TypeVar("_Command", bound=Callable[..., Any])
_MAPPED = ("map", "value", "mask")
_OPTIONS_OF = {
    "table": (*_MAPPED, "csv", "images"),
    "utkface": ("mask",),
    "imagefolder": _MAPPED,
    "label_studio": (*_MAPPED, "annotations"),
    "coco": (*_MAPPED, "annotations"),
    "plain": ("mask", "person"),
}


def layout_options(command: _Command) -> _Command:
    """Add `--layout` and the options of all layouts to a command."""
    for option in reversed(
        (
            click.option(
                "--layout",
                default=AUTO,
                show_default=True,
                type=click.Choice([AUTO, *LAYOUTS]),
                help="Set the layout of the photos.",
            ),
            click.option(
                "--map", multiple=True, metavar="FIELD=COLUMN", help="Read a field from this column; FIELD= for none."
            ),
            click.option(
                "--value", multiple=True, metavar="FIELD:WORD=VALUE", help="Translate a word of a field's column."
            ),
            click.option(
                "--csv", multiple=True, metavar="FILE", help="table: Read this CSV, or these, if there are several."
            ),
            click.option(
                "--images",
                metavar="FOLDER",
                help="table: Take the CSV's paths as relative to this folder of the source.",
            ),
            click.option(
                "--annotations",
                metavar="FILE",
                help="coco, label_studio: Read this JSON file only.",
            ),
            click.option(
                "--person",
                type=click.Choice(["photo", "folder"]),
                help="plain: Take each photo or each folder as one person.  [default: photo]",
            ),
            click.option(
                "--mask",
                type=click.Choice([*MASKS, "unknown"]),
                help="Set the mask label of photos without one.  [default: unknown]",
            ),
        )
    ):
        command = option(command)
    return command


def layout_arguments(layout: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of a layout's function, given the options that were set.

    Raises ConfigError for an option of another layout, or one that does not have the form of its usage.
    """
    for option in given:
        if option not in _OPTIONS_OF.get(layout, ()):
            layouts = [name for name, options in _OPTIONS_OF.items() if option in options]
            known = " or ".join(filter(None, [", ".join(layouts[:-1]), layouts[-1]]))
            raise ConfigError(f"--{option} requires --layout {known}. Got --layout {layout} instead.")
    arguments: dict[str, Any] = {
        name: given[name] for name in ("csv", "images", "annotations", "person") if name in given
    }
    if "mask" in given:
        arguments["mask"] = None if given["mask"] == "unknown" else given["mask"]
    if "map" in given:
        arguments["columns"] = dict(_pair(text, "--map FIELD=COLUMN", may_be_empty=True) for text in given["map"])
    if "value" in given:
        pairs = [_pair(text, "--value FIELD:WORD=VALUE") for text in given["value"]]
        if any(":" not in left for left, _ in pairs):
            raise ConfigError(
                f"--value must be FIELD:WORD=VALUE, such as mask:Masked=worn. Got {given['value']} instead."
            )
        arguments["words"] = {tuple(left.split(":", 1)): right for left, right in pairs}
    return arguments


def _pair(text: str, usage: str, may_be_empty: bool = False) -> tuple[str, str]:
    left, sign, right = text.partition("=") if may_be_empty else text.rpartition("=")
    if not sign or not left or not (right or may_be_empty):
        raise ConfigError(f"an option must have the form {usage}. Got {text!r} instead.")
    return left, right
