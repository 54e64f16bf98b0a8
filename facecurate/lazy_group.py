"""Command groups that import a sub-command when it is called, not when its group's help is shown or completed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click


@dataclass(frozen=True)
class Entry:
    """One row of a command table.

    `target` is "module:object", or "module:group name" for one command of a click group. `prepare` names a function
    "module:function" that is called before `target` is imported.
    """

    target: str
    help: str
    prepare: str = ""

    def load(self) -> click.Command:
        """Import the command."""
        if self.prepare:
            resolve(self.prepare)()
        target, _, name = self.target.partition(" ")
        command = resolve(target)
        return command.commands[name] if name else command


def resolve(target: str) -> Any:
    """Import "module:object" and return the object."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


class LazyGroup(click.Group):
    """A click group made from a table: section title → command name → Entry.

    Help, completion and suggestions read the table only; `resolve_command`, the step before a command is parsed or its
    own arguments are completed, imports the one that was named.
    """

    def __init__(self, *args: Any, table: Mapping[str, Mapping[str, Entry]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table
        for section in table.values():
            for name, entry in section.items():
                self.add_command(_Placeholder(name, entry))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the names in the table's order, which is the order of the work."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that `args` name, and import it."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, _Placeholder) else command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a list of commands for each section of the table."""
        width = max(map(len, self.commands))
        for title, section in self.table.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), entry.help) for name, entry in section.items()])


class _Placeholder(click.Command):
    """A command that is known by name and help only."""

    load: Callable[[], click.Command]

    def __init__(self, name: str, entry: Entry) -> None:
        super().__init__(name, short_help=entry.help)
        self.load = entry.load
