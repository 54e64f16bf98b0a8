"""The command group of `facecurate`."""

from __future__ import annotations

from importlib import import_module

import click

from data_manifests.cli.export import export_command, root_command, schema_command
from data_manifests.cli.ingest import ingest_command
from data_manifests.cli.inspect import diff_command, lineage_command, log_command, show_command, verify_command
from data_manifests.cli.review import agreement_command, consensus_command
from data_manifests.cli.revise import apply_command, split_command, tag_command

COMMANDS = (
    ingest_command,
    apply_command,
    split_command,
    tag_command,
    log_command,
    show_command,
    diff_command,
    verify_command,
    lineage_command,
    agreement_command,
    consensus_command,
    export_command,
    root_command,
    schema_command,
)


class _Commands(click.Group):
    """The commands of this package, and `report` of the package `reporting`.

    `reporting` draws the charts and is above this package, so this package must not import it: the command is looked up
    by name when it is called.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "report"])

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name == "report":
            command: click.Command = import_module("reporting.cli").report_command
            return command
        return super().get_command(ctx, name)


@click.group(cls=_Commands, context_settings={"max_content_width": 110})
def cli() -> None:
    """Manage the versions of a data set: ingest photos, correct, split, compare, verify, export.

    A REF names a version: faces (the newest), faces@3, faces@curated (a tag), faces@9f86d0 (the first digits of its
    content hash) or a Parquet file. Versions are in $WORKSPACE (default: workspace/) and never change.
    """


for command in COMMANDS:
    cli.add_command(command)
