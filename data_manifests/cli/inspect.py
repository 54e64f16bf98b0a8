"""The commands `log`, `show`, `diff`, `verify` and `lineage`, which read versions and write nothing."""

from __future__ import annotations

import sys

import click
import pyarrow.compute as pc

from data_manifests.command_line import echo_json, open_store
from data_manifests.inspect import (
    DIFF_COLUMNS,
    diff,
    diff_as_json,
    lineage,
    lineage_lines,
    log_lines,
    row_lines,
    verify,
    version_lines,
)
from data_manifests.schema import STATUSES


@click.command("log")
@click.argument("name")
def log_command(name: str) -> None:
    """List the versions of NAME, oldest first."""
    store = open_store()
    store.resolve(name)
    for line in log_lines(store.log(name), store.tags(name)):
        click.echo(line)


@click.command("show")
@click.argument("ref")
@click.option("--status", type=click.Choice(STATUSES), help="List the rows of this status with their reasons instead.")
@click.option("--limit", default=20, show_default=True, help="List at most this many rows.")
def show_command(ref: str, status: str | None, limit: int) -> None:
    """Summarise a version.

    Print its history, the numbers of rows, people and synthetic images, the splits, and the 18 classes.
    """
    store = open_store()
    manifest = store.read(ref)
    if status:
        rows = manifest.table.filter(pc.equal(manifest.table.column("status"), status))
        lines = row_lines(rows, limit) or [f"no row of {manifest.version.ref} has status {status}"]
    else:
        lines = version_lines(manifest, store.tags(manifest.version.name))
    click.echo("\n".join(lines))


@click.command("diff")
@click.argument("a")
@click.argument("b")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.option("--limit", default=600, show_default=True, help="List at most this many rows of each field (--json).")
def diff_command(a: str, b: str, as_json: bool, limit: int) -> None:
    """Report what changed from version A to B.

    Compare rows, labels, people, splits, status and bytes. A crop is compared with the photo from which it was made.
    """
    store = open_store()
    if as_json:
        old, new = store.read(a, DIFF_COLUMNS), store.read(b, DIFF_COLUMNS)
        refs = {"a": old.version.ref, "b": new.version.ref}
        echo_json(refs | diff_as_json(diff(old.table, new.table), limit))
        return
    old, new = store.read(a), store.read(b)
    click.echo(f"{old.version.ref} → {new.version.ref}")
    if old.cuts != new.cuts:
        click.echo(f"age cuts {', '.join(old.cuts.names)} → {', '.join(new.cuts.names)}")
    click.echo("\n".join(diff(old.table, new.table).lines()))


@click.command("verify")
@click.argument("ref")
def verify_command(ref: str) -> None:
    """Verify the files of a version.

    Read every file again and list those that are missing, changed, unreadable or outside their folder. Exit with 1 if
    there are any.
    """
    result = verify(open_store(), ref)
    click.echo("\n".join(result.lines()))
    if result.problems.num_rows:
        sys.exit(1)


@click.command("lineage")
@click.argument("ref")
@click.argument("sample_id", metavar="SAMPLE")
def lineage_command(ref: str, sample_id: str) -> None:
    """Trace a row back to its photo.

    SAMPLE is its sample_id. Print the version in which each image was made and the labels that changed, newest first.
    """
    click.echo("\n".join(lineage_lines(lineage(open_store(), ref, sample_id))))
