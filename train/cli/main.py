"""`python -m train …`: train on a manifest, judge, predict, report."""

from __future__ import annotations

from pathlib import Path

import click

from data_manifests.command_line import open_store, parse_settings
from data_manifests.errors import ConfigError
from train.cli.evaluation import COMMANDS
from train.cli.queue import queue
from train.models import require_weights
from train.settings import load_train_settings

DEFAULT_CONFIG = Path("configs/train/default.yaml")


@click.group()
def cli() -> None:
    """Train on a manifest and report what its data is worth."""


for command in (*COMMANDS, queue):
    cli.add_command(command)


@cli.command()
@click.argument("ref")
@click.argument("settings", nargs=-1)
@click.option("--config", type=click.Path(path_type=Path), help="A YAML file, such as configs/train/demo.yaml.")
@click.option("--once", is_flag=True, help="Take the run that has the same rows, settings and tools, if there is one.")
def fit(ref: str, settings: tuple[str, ...], config: Path | None, once: bool) -> None:
    """Train on the manifest REF. SETTINGS are key=value words, such as optim.epochs=30."""
    chosen = load_train_settings(config, parse_settings(settings))
    if chosen.model.pretrained and not chosen.model.embedding:
        require_weights(chosen.model.backbone)
    open_store().version(ref)  # an unknown manifest is told before torch is loaded, which takes seconds
    from train.training import train_and_report

    train_and_report(open_store(), ref, chosen, once=once, say=click.echo)


@cli.command()
@click.argument("name", metavar="RUN")
def resume(name: str) -> None:
    """Go on with a RUN that was interrupted, as if it had not been."""
    from train.training import resume_and_report

    resume_and_report(open_store(), name, say=click.echo)


@cli.command()
@click.argument("name", metavar="RUN")
def refit(name: str) -> None:
    """Train as the finished RUN, on all of its people, up to the epoch that was best: the last step before a test."""
    from train.training import refit_run

    refit_run(open_store(), name, say=click.echo)


@cli.command()
@click.argument("ref")
@click.argument("settings", nargs=-1)
@click.option("--config", type=click.Path(path_type=Path), help="A YAML file, such as configs/train/demo.yaml.")
def folds(ref: str, settings: tuple[str, ...], config: Path | None) -> None:
    """Cross-validate by person: a run for each fold of REF, and what they say of people they have not seen.

    REF has folds after `data_manifests split REF --folds K`. Known runs are taken.
    """
    chosen = load_train_settings(config, parse_settings(settings))
    if chosen.model.pretrained and not chosen.model.embedding:
        require_weights(chosen.model.backbone)
    open_store().version(ref)
    from train.training import folds_and_scores

    folds_and_scores(open_store(), ref, chosen, say=click.echo)


@cli.command()
@click.argument("words", nargs=-1, required=True, metavar="REF REF … [KEY=VALUE …]")
@click.option("--config", type=click.Path(path_type=Path), help="The one recipe.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1), help="Runs of each manifest.")
@click.option("--val", "val_ref", help="The manifest whose validation labels are the truth (default: the last REF).")
@click.option("--leak", "leak_ref", metavar="REF", help="Also show on REF what a split by image claims.")
def compare(words: tuple[str, ...], config: Path | None, seeds: int, val_ref: str | None, leak_ref: str | None) -> None:
    """Train one recipe on several manifests REFS and judge them all by one validation set. Known runs are taken."""
    refs = [word for word in words if "=" not in word]
    chosen = load_train_settings(config, parse_settings(tuple(word for word in words if "=" in word)))
    if len(set(refs)) < 2:
        raise ConfigError(f"a comparison needs at least two manifests. Got {', '.join(refs) or 'none'} instead.")
    if chosen.model.pretrained and not chosen.model.embedding:
        require_weights(chosen.model.backbone)
    from train.studies import compare_manifests

    compare_manifests(open_store(), refs, chosen, seeds, val_ref or refs[-1], leak_ref, say=click.echo)


@cli.command()
@click.argument("name", metavar="RUN")
def report(name: str) -> None:
    """Write the report of RUN again from the files in its folder."""
    from train.reports import write_report
    from train.runs import find_run

    store = open_store()
    click.echo(f"report: {write_report(find_run(store, name), store)}")
