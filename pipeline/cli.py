"""`facecurate weights`: reports about the machinery itself."""

from __future__ import annotations

import hashlib

import click

from data_manifests.command_line import echo_next, open_store
from pipeline.weights import RELEASE_PAGE, WEIGHTS, Weights, models_folder


@click.group()
def cli() -> None:
    """Report what the stages need on this machine."""


@cli.command()
def weights() -> None:
    """List the model files: state on this machine, purpose, licence."""
    for entry in WEIGHTS.values():
        click.echo(f"{entry.name:18} {_state(entry):10} {entry.file:42} {entry.use}; {entry.licence}{_size(entry)}")
    click.echo(f"Files that no package contains are on {RELEASE_PAGE} and belong in {models_folder()} (U2NET_HOME).")
    names = open_store().names()
    echo_next(f"facecurate show {names[0]}" if names else "make demo")


def _size(entry: Weights) -> str:
    return f"; {entry.megabytes} MB" if entry.megabytes else ""


def _state(entry: Weights) -> str:
    path = entry.locate()
    if path is None:
        return "absent"
    name, wanted = ("sha256", entry.sha256) if entry.sha256 else ("md5", entry.md5)
    with path.open("rb") as file:
        return "here" if hashlib.file_digest(file, name).hexdigest() == wanted else "DIFFERENT"
