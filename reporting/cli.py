"""The command line of `reporting`: reports that need no other stage."""

from __future__ import annotations

from pathlib import Path

import click

from data_manifests.command_line import echo_next, ledger_line, open_store
from data_manifests.inspect import NEXT_COLUMNS, next_command


@click.group(context_settings={"max_content_width": 110})
def cli() -> None:
    """Write HTML reports."""


@cli.command("dataset")
@click.argument("ref")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), metavar="FILE", help="The HTML file to write."
)  # fmt: skip
def report_command(ref: str, out: Path) -> None:
    """Write an HTML dataset report of the version REF.

    The report has charts of all rows and of each split: the labels that exist, ages, colours, mean images, image sizes,
    and the versions of the data set. Mean images and colours are measured on up to 300 images of each class.
    """
    from reporting.dataset import write_report  # imports the chart library only when a report is written

    store = open_store()
    manifest = write_report(store, ref, out)
    click.echo(f"report: {out}")
    click.echo(ledger_line(manifest.version))
    echo_next(next_command(store.read(ref, NEXT_COLUMNS), ref))
