"""The commands `log`, `show`, `diff`, `verify` and `lineage`, which read versions and write nothing."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.cli.ingest import PHOTOS
from data_manifests.command_line import echo_json, echo_next, open_store
from data_manifests.inspect import (
    APP,
    DIFF_COLUMNS,
    NEXT_COLUMNS,
    diff,
    diff_as_json,
    lineage,
    lineage_lines,
    log_lines,
    next_command,
    row_lines,
    verify,
    version_lines,
)
from data_manifests.schema import STATUSES
from data_manifests.versions import WORKSPACE_ROOT, Store


@click.command("log")
@click.argument("name")
def log_command(name: str) -> None:
    """List the versions of NAME, oldest first."""
    store = open_store()
    store.resolve(name)
    versions = store.log(name)
    for line in log_lines(versions, store.tags(name)):
        click.echo(line)
    newest = shlex.quote(versions[-1].ref)
    echo_next(f"facecurate diff {versions[-2].ref} {newest}" if len(versions) > 1 else f"facecurate show {newest}")


@click.command("show")
@click.argument("ref")
@click.option("--status", type=click.Choice(STATUSES), help="List the rows of this status with their reasons instead.")
@click.option("--limit", default=20, show_default=True, help="List at most this many rows.")
def show_command(ref: str, status: str | None, limit: int) -> None:
    """Summarise a version.

    Print its history, the numbers of rows, people and synthetic images, the splits, and the rows of each label. If rows
    have all three labels, print the 18 classes too.
    """
    store = open_store()
    manifest = store.read(ref)
    if status:
        rows = manifest.table.filter(pc.equal(manifest.table.column("status"), status))
        lines = row_lines(rows, limit) or [f"no row of {manifest.version.ref} has status {status}"]
        following = shlex.join(["facecurate", "show", ref])
    else:
        lines = version_lines(manifest, store.tags(manifest.version.name))
        following = next_command(manifest, ref)
    click.echo("\n".join(lines))
    echo_next(following)


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
    echo_next(next_command(new, b))


@click.command("verify")
@click.argument("ref")
def verify_command(ref: str) -> None:
    """Verify the files of a version.

    Read every file again and list those that are missing, changed, unreadable or outside their folder. Exit with 1 if
    there are any.
    """
    store = open_store()
    result = verify(store, ref)
    click.echo("\n".join(result.lines()))
    if result.problems.num_rows:
        echo_next(_repair(store, ref, result.problems))
        sys.exit(1)
    echo_next(next_command(store.read(ref, NEXT_COLUMNS), ref))


def _repair(store: Store, ref: str, problems: pa.Table) -> str:
    """Return the command that makes the files of a version good again.

    Photos are ingested again, or their folder is named if it was moved; images in the workspace are made again.
    """
    version = store.version(ref)
    root = problems["root"][0].as_py()
    if root == WORKSPACE_ROOT:
        return shlex.join(["facecurate", "preprocess", "run", f"{version.name}@{PHOTOS}", "--tag", "preprocessed"])
    folder, parameters = store.roots()[root], store.log(version.name)[0].parameters
    if not folder.is_dir():
        click.echo(f"the folder {folder} does not exist; if it was moved: facecurate root {root} FOLDER")
        return f"facecurate root {root}"
    if "layout" not in parameters:
        return f"facecurate log {version.name}"
    return shlex.join(["facecurate", "ingest", str(folder), *_ingest_options(parameters), "--name", version.name])


def _ingest_options(parameters: Mapping[str, Any]) -> Iterator[str]:
    """Yield the options with which a version was ingested, from its parameters."""
    for name, given in parameters.items():
        for value in given if isinstance(given, list) else [given]:
            yield from (f"--{name}", str(value))


@click.command("lineage")
@click.argument("ref")
@click.argument("sample_id", metavar="SAMPLE")
def lineage_command(ref: str, sample_id: str) -> None:
    """Trace a row back to its photo.

    SAMPLE is its sample_id. Print the version in which each image was made and the labels that changed, newest first.
    """
    click.echo("\n".join(lineage_lines(lineage(open_store(), ref, sample_id))))
    echo_next(APP)
