"""The command: detect the layout, ingest, write and open the first page, audit, write the page again."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import Any

import click

from data_manifests.cli import default_name, layout_options, read_source
from data_manifests.command_line import echo_json, echo_next, open_store


@click.command()
@click.argument("photos", type=click.Path(path_type=Path))
@click.option("--name", help="Name the data set.  [default: the name of the folder]")
@click.option("--age-cuts", help="Set the first age of the middle and of the old class, such as 45,60.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the page to this file.  [default: WORKSPACE/doctor/NAME.html]",
)
@click.option("--no-open", is_flag=True, help="Do not open the page in the browser.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON object.")
@layout_options
def doctor(
    photos: Path,
    name: str | None,
    age_cuts: str | None,
    out: Path | None,
    no_open: bool,
    as_json: bool,
    layout: str,
    **options: Any,
) -> None:
    """Look into PHOTOS: what is there, what is wrong, and which commands come next.

    PHOTOS is a folder of photos, or a CSV or JSON file that lists them. Its layout is detected, unless --layout states
    it; `facecurate ingest --help` describes the layouts. Labels that are not there are not needed.

    The photos become a version in $WORKSPACE; they are not changed. One page opens in the browser with counts and
    pictures, and is written again when the photos have been searched for wrong labels, duplicates and poor pictures.
    The same photos again give the same version, and nothing is computed twice.
    """

    def say(line: str) -> None:
        click.echo(line, err=as_json)

    say(f"doctor: {photos}")
    read = read_source(photos, layout, {key: value for key, value in options.items() if value})
    store = open_store()
    name = name or default_name(store, read.root)

    def show(page: Path) -> None:
        say(f"page: {page}")
        if not (no_open or as_json) and sys.stdout.isatty():
            webbrowser.open(page.resolve().as_uri())

    from facecurate.doctor.examination import examine
    from facecurate.doctor.summary import command_lines

    found, commands, page = examine(store, read, name, age_cuts, out, say, show)
    if as_json:
        chosen = [{"command": one.command, "why": one.why} for one in commands]
        echo_json(found.as_json() | {"page": str(page), "next": chosen})
        return
    for line in command_lines(commands):
        click.echo(line)
    click.echo(f"page: {page}")
    echo_next(commands[0].command)
