"""Write the pages that are made from the code: docs/manifest.md and docs/cli.md. Run by `make docs`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("data_manifests", "pipeline", "audit", "preprocess", "synth", "train")
_WIDTH = 100


def pages() -> dict[str, str]:
    """File name → text."""
    from data_manifests.schema import as_markdown

    return {"manifest.md": as_markdown(), "cli.md": cli_page()}


def cli_page() -> str:
    """The --help of every command of every package that has a command line."""
    lines = ["# Commands", "", "Made from the code by `make docs`; do not edit.", ""]
    for package in PACKAGES:
        if not (ROOT / package / "cli.py").exists():
            continue
        group = importlib.import_module(f"{package}.cli").cli
        lines += [f"## python -m {package}", ""]
        for name, command in _commands(group, f"python -m {package}"):
            lines += [f"### {name}", ""] if command is not group else []
            lines += ["```text", _help(command, name), "```", ""]
    return "\n".join(lines)


def _commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for child in sorted(command.commands):
            yield from _commands(command.commands[child], f"{name} {child}")


def _help(command: click.Command, name: str) -> str:
    context = click.Context(command, info_name=name, terminal_width=_WIDTH, max_content_width=_WIDTH)
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for page, text in pages().items():
        (ROOT / "docs" / page).write_text(text, "utf8")
        print(f"docs/{page}")
