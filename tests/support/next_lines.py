"""The commands of `facecurate` as click objects: all of them, and those that a line `next: …` names."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from data_manifests.versions import Store
from facecurate.cli import TABLE, cli

MAKEFILE = Path(__file__).resolve().parents[2] / "Makefile"
_REFS = ("ref", "refs", "a", "b")  # arguments that name a version


def leaf_commands() -> set[str]:
    """Return the words of every command, such as "synth plan"."""
    entries = {name: entry for section in TABLE.values() for name, entry in section.items()}
    return {" ".join(words) for name, entry in entries.items() for words in _leaves(entry.load(), (name,))}


def _leaves(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if not isinstance(command, click.Group):
        yield words
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        assert child is not None
        yield from _leaves(child, (*words, name))


def check_command(text: str, store: Store) -> None:
    """Fail unless a command can be run as it stands: its words parse, and its files and versions exist."""
    program, *words = shlex.split(text)
    assert not re.search(r"\bREF\b|…|\bNAME\b|[<>]", text), f"not filled in: {text}"
    if program == "make":
        targets = set(re.findall(r"^([a-z-]+):", MAKEFILE.read_text("utf8"), re.MULTILINE))
        assert {word for word in words if "=" not in word} <= targets, text
        return
    assert program == "facecurate", text
    context = _parse(words)
    for name in _REFS:
        value = context.params.get(name) or ()
        for ref in [value] if isinstance(value, str) else value:
            store.version(ref)


def _parse(words: list[str]) -> click.Context:
    """Return the context of a leaf command after its words are parsed. Raises click.UsageError as the program does."""
    command: click.Command = cli
    context = command.make_context("facecurate", words)
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]  # what the group leaves to its command
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command, context = found, found.make_context(name, rest, parent=context)
    return context
