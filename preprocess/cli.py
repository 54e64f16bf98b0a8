"""`facecurate preprocess …`: thin commands over the stages."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from data_manifests.command_line import echo_next, ledger_line, open_store, parse_settings
from data_manifests.inspect import NEXT_COLUMNS, next_command
from data_manifests.versions import Store, Version
from pipeline.settings import load_settings
from preprocess.settings import PreprocessSettings
from preprocess.stages import POLICIES

SECTION = "preprocess"
_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--config FILE` and `key=value …`, which every command accepts."""
    command = click.argument("settings", nargs=-1, metavar="[key=value …]")(command)
    return click.option("--config", type=_FILE, help="YAML file; its section `preprocess` holds the settings.")(command)


def _load(config: Path | None, words: tuple[str, ...], more: dict[str, str] | None = None) -> PreprocessSettings:
    return load_settings(PreprocessSettings, config, parse_settings(words) | (more or {}), SECTION)


@click.group(context_settings={"max_content_width": 100})
def cli() -> None:
    """Find the face, place landmarks, crop, remove the background, treat ambiguous ages.

    REF is a manifest version (faces, faces@3, faces@tag). Every command writes the next version; a second run computes
    only what is missing. Settings such as crop.margin_share=0.3 or background.backend=grabcut are listed in
    docs/reference/settings.md.
    """


@cli.command()
@click.argument("ref")
@click.option("--tag", help="Tag the last version written.")
@_with_settings
def run(ref: str, config: Path | None, settings: tuple[str, ...], tag: str | None) -> None:
    """Run detect, landmarks and crop in one pass, then background, then drop-ages."""
    from preprocess.run import run_all

    store = open_store()
    done = run_all(ref, store, _load(config, settings), click.echo)
    last = done[-1] if done else store.version(ref)
    if tag:
        store.tag(last.ref, tag)
    click.echo(ledger_line(last))
    _echo_next_of(last, store)


def _echo_next_of(version: Version, store: Store) -> None:
    """Name the command that suits the version's labels: not every set can be balanced."""
    echo_next(next_command(store.read(version.ref, NEXT_COLUMNS)))


def _one_step(name: str, help_text: str, next_step: str = "") -> None:
    @cli.command(name, help=help_text)
    @click.argument("ref")
    @_with_settings
    def command(ref: str, config: Path | None, settings: tuple[str, ...]) -> None:
        from preprocess.run import run_one

        store = open_store()
        version = run_one(name, ref, store, _load(config, settings), click.echo).version
        if next_step:
            echo_next(f"facecurate preprocess {next_step} {version.ref}")
        else:
            _echo_next_of(version, store)


_one_step("detect", "Find the person's face: box, five points, score.", "landmarks")
_one_step("landmarks", "Place 68 landmarks on the face that detect found.", "crop")
_one_step("crop", "Cut out the face with a margin; landmarks move along.", "background")
_one_step("background", "Replace the background by a plain colour.")


@cli.command("drop-ages")
@click.argument("ref")
@click.option("--ages", help="Such as 57,58,59 or 57-59.")
@click.option("--splits", help="Where to exclude: train (default), or several such as train,val,test.")
@click.option("--policy", type=click.Choice(POLICIES), help="exclude the rows, or relabel: move the old class's cut.")
@_with_settings
def drop_ages(ref: str, config: Path | None, settings: tuple[str, ...], **options: Any) -> None:
    """Exclude ages from training, or move them into the old class. Nothing is deleted."""
    from preprocess.run import run_drop_ages

    if options["splits"]:
        options["splits"] = f"[{options['splits']}]"
    if options["ages"]:
        options["ages"] = f'"{options["ages"]}"'
    given = {f"drop_ages.{key}": value for key, value in options.items() if value}
    store = open_store()
    version = run_drop_ages(ref, store, _load(config, settings, given).drop_ages, click.echo)
    click.echo(ledger_line(version))
    _echo_next_of(version, store)


@cli.command()
@click.argument("src", type=_FOLDER)
@click.argument("out", type=_FOLDER)
@_with_settings
def images(src: Path, out: Path, config: Path | None, settings: tuple[str, ...]) -> None:
    """Crop faces and remove backgrounds in a plain folder SRC; OUT gets the same tree and preprocess.csv."""
    from preprocess.folder import run_folder

    done = run_folder(_load(config, settings), src, out, open_store(), click.echo)
    click.echo("\n".join(done.lines(out)))
    echo_next(f"facecurate doctor {shlex.quote(str(out))}")
