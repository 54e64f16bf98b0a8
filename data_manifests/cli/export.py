"""The commands `export`, `root` and `schema`: files for other programs, photo folders, the columns."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from data_manifests.command_line import echo_next, open_store
from data_manifests.export import FORMATS, export
from data_manifests.schema import as_markdown


@click.command("export")
@click.argument("ref")
@click.option("--format", "format_", required=True, type=click.Choice(list(FORMATS)), help="Choose the format.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write to this folder, which must be new or empty.",
)
@click.option(
    "--link/--copy",
    default=False,
    show_default=True,
    help="Link photos to save space, or copy them. A change to a link changes the photo.",
)
def export_command(ref: str, format_: str, out: Path, link: bool) -> None:
    """Export a version for other programs.

    \b
    csv       labels.csv: all rows and columns as one flat table
    profiles  train.csv, images/<path>/<shot>.<ext> as in the competition, and ledger.csv:
              the file written for each row, or why the row was left out
    """
    result = export(open_store(), ref, format_, out, link=link)
    click.echo("\n".join(result.lines()))
    echo_next(shlex.join(["facecurate", "report", ref, "--out", f"{result.ref.replace('@', '-')}.html"]))


@click.command("root")
@click.argument("name", required=False)
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
def root_command(name: str | None, folder: Path | None) -> None:
    """List the photo folders, or set one.

    After moving photos: root NAME FOLDER. No version changes, because rows refer to the folder by NAME.
    """
    store = open_store()
    if name and folder:
        store.set_root(name, folder)
    for known, path in store.roots().items():
        if name in (None, known):
            click.echo(f"{known}  {path}")
    if name and name not in store.roots():
        store.file_of(name, "")  # raises ManifestError with the known names
    names = store.names()
    if name in names or names:
        echo_next(f"facecurate verify {name if name in names else names[0]}")
    else:
        echo_next(shlex.join(["facecurate", "synth", "demo", str(store.workspace / "photos" / "demo")]))


@click.command("schema")
def schema_command() -> None:
    """Print the columns of a manifest (docs/reference/manifest.md)."""
    click.echo(as_markdown(), nl=False)
