"""The result of a detection, and its arguments as options of the command line."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

NO_MASK_NOTE = "if no face has a mask: --mask none"


@dataclass(frozen=True)
class DetectedLayout:
    """The layout of a folder or of a list of photos, as detected.

    root: the photo folder; layout: a name in LAYOUTS; arguments: keyword arguments for `LAYOUTS[layout]`; evidence: one
    sentence on what was seen; has_labels: whether anything but the photos themselves was found; notes: what was seen
    but not used, with the option that changes it; others: other layouts that fit too, best first.
    """

    root: Path
    layout: str
    arguments: Mapping[str, Any]
    evidence: str
    has_labels: bool = False
    notes: tuple[str, ...] = ()
    others: tuple[DetectedLayout, ...] = field(default=(), repr=False)

    @property
    def options(self) -> dict[str, Any]:
        """The arguments in the form in which the command line gives them: {"map": ("path=file",), "csv": "a.csv"}."""
        return options_of(self.arguments)

    @property
    def command(self) -> str:
        """The equivalent command, without `--name`: `facecurate ingest photos --layout table --map path=file`."""
        words = ["facecurate", "ingest", str(self.root), "--layout", self.layout]
        for name, value in self.options.items():
            for one in value if isinstance(value, tuple) else (value,):
                words += [f"--{name}", one]
        return shlex.join(words)

    def with_arguments(self, arguments: Mapping[str, Any]) -> DetectedLayout:
        """Return the layout with the arguments that the user completed, without the note on masks if they set one."""
        notes = tuple(note for note in self.notes if NO_MASK_NOTE not in note or arguments.get("mask") is None)
        return replace(self, arguments=arguments, notes=notes)


def options_of(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return keyword arguments of a layout as options of `facecurate ingest`."""
    options: dict[str, Any] = {}
    for name, value in arguments.items():
        if name == "columns":
            options["map"] = tuple(f"{field}={column}" for field, column in value.items())
        elif name == "words":
            options["value"] = tuple(f"{field}:{word}={meaning}" for (field, word), meaning in value.items())
        elif name == "mask":
            options[name] = value or "unknown"
        else:
            options[name] = value
    return options
