"""The commands that train: fit, resume, refit, folds, compare; and the report of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from data_manifests.command_line import open_store, parse_settings
from data_manifests.errors import ConfigError
from pipeline.runs import find_run
from train.cli.evaluation import COMMANDS
from train.cli.options import config_option, json_option, message_printer, print_result
from train.cli.queue import queue
from train.pretrained_weights import require_weights
from train.settings import TrainSettings, load_train_settings

if TYPE_CHECKING:
    from pipeline.runs import Run


@click.group()
def cli() -> None:
    """Train networks on a manifest, evaluate and explain them, and compare manifests by training."""


for command in (*COMMANDS, queue):
    cli.add_command(command)


@cli.command()
@click.argument("ref")
@click.argument("settings", nargs=-1)
@config_option
@click.option("--once", is_flag=True, help="Take the run of the same rows, settings and tools, if there is one.")
@json_option
def fit(ref: str, settings: tuple[str, ...], config: Path | None, once: bool, as_json: bool) -> None:
    """Train on the manifest REF. SETTINGS are key=value pairs, such as optim.epochs=30."""
    chosen = _load_settings(settings, config)
    open_store().version(ref)  # reports an unknown manifest before torch is loaded, which takes seconds
    from train.engine import train_and_report

    run = train_and_report(open_store(), ref, chosen, once=once, echo=message_printer(as_json))
    print_result(as_json, _run_result(run))


@cli.command()
@click.argument("name", metavar="RUN")
def resume(name: str) -> None:
    """Resume an interrupted RUN, to the same result as without the interruption."""
    from train.engine import resume_and_report

    resume_and_report(open_store(), name, echo=click.echo)


@cli.command()
@click.argument("name", metavar="RUN")
def refit(name: str) -> None:
    """Train as a finished RUN on all its people, up to its best epoch: the last step before a test."""
    from train.engine import refit_run

    refit_run(open_store(), name, echo=click.echo)


@cli.command()
@click.argument("ref")
@click.argument("settings", nargs=-1)
@config_option
def folds(ref: str, settings: tuple[str, ...], config: Path | None) -> None:
    """Cross-validate by person: train a run for each fold of REF and write the out-of-fold predictions.

    Assign folds first: data_manifests split REF --folds K. Existing runs are reused.
    """
    chosen = _load_settings(settings, config)
    open_store().version(ref)
    from train.studies import cross_validate

    cross_validate(open_store(), ref, chosen, echo=click.echo)


@cli.command()
@click.argument("words", nargs=-1, required=True, metavar="REF REF … [KEY=VALUE …]")
@config_option
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1), help="Train each manifest this often.")
@click.option("--val", "val_ref", help="Take validation labels from this manifest (default: the last REF).")
@click.option("--leak", "leak_ref", metavar="REF", help="Also measure on REF the leakage of a split by image.")
@json_option
def compare(
    words: tuple[str, ...], config: Path | None, seeds: int, val_ref: str | None, leak_ref: str | None, as_json: bool
) -> None:
    """Train one training recipe on several manifests REF and evaluate all runs on one validation set.

    Existing runs are reused.
    """
    refs = [word for word in words if "=" not in word]
    if len(set(refs)) < 2:
        raise ConfigError(f"a comparison needs at least two manifests. Got {', '.join(refs) or 'none'} instead.")
    chosen = _load_settings(tuple(word for word in words if "=" in word), config)
    from train.studies import compare_manifests

    echo = message_printer(as_json)
    result = compare_manifests(open_store(), refs, chosen, seeds, val_ref or refs[-1], leak_ref, echo=echo)
    print_result(as_json, result)


@cli.command()
@click.argument("name", metavar="RUN")
def report(name: str) -> None:
    """Write the report of RUN again from the files in its folder."""
    from train.reports import write_report

    store = open_store()
    click.echo(f"report: {write_report(find_run(store, name), store)}")


def _load_settings(pairs: tuple[str, ...], config: Path | None) -> TrainSettings:
    """Load the settings, and check that pretrained weights are available if they need them."""
    settings = load_train_settings(config, parse_settings(pairs))
    if settings.needs_pretrained_weights:
        require_weights(settings.model.backbone)
    return settings


def _run_result(run: Run) -> dict[str, Any]:
    """Return a run as plain JSON values: name, folder, state, report and validation scores (null without one)."""
    about = run.about()
    has_report = run.has("report.html")
    return {
        "run": run.name,
        "path": str(run.path),
        "state": about["state"],
        "manifest": about["manifest"],
        "best_epoch": about.get("best_epoch"),
        "report": str(run.path / "report.html") if has_report else None,
        "scores": run.scores()["scores"] if run.has("scores.json") else None,
    }
