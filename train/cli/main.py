"""The commands that train: fit, resume, refit, folds, compare; and the report of a run."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.command_line import echo_next, open_store, parse_settings
from data_manifests.errors import ConfigError, ManifestError
from data_manifests.schema import USABLE
from data_manifests.versions import Store
from pipeline.progress import announce
from pipeline.runs import find_run
from train.cli.evaluation import COMMANDS
from train.cli.options import config_option, json_option, message_printer, predict_command, print_result
from train.cli.queue import queue
from train.process_environment import is_first_rank
from train.rows import check_landmarks, check_manifest
from train.settings import TrainSettings
from train.start import choose_start

if TYPE_CHECKING:
    from pipeline.runs import Run
    from train.start import Echo


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
    echo, store = message_printer(as_json), open_store()
    chosen = _load_settings(settings, config, echo)
    version = store.version(ref)
    check_manifest(store.read(ref), chosen)
    _announce(f"train: {version.ref}, {version.rows:,} rows; loading torch")
    from train.engine import train_and_report

    run = train_and_report(store, ref, chosen, once=once, echo=echo)
    print_result(as_json, _run_result(run))
    _next_after_run(store, run, as_json)


@cli.command()
@click.argument("name", metavar="RUN")
def resume(name: str) -> None:
    """Resume an interrupted RUN, to the same result as without the interruption."""
    from train.engine import resume_and_report

    store = open_store()
    run = resume_and_report(store, name, echo=click.echo)
    _next_after_run(store, run)


@cli.command()
@click.argument("name", metavar="RUN")
def refit(name: str) -> None:
    """Train as a finished RUN on all its people, up to its best epoch: the last step before a test."""
    from train.engine import refit_run

    run = refit_run(open_store(), name, echo=click.echo)
    echo_next(predict_command(run))


@cli.command()
@click.argument("ref")
@click.argument("settings", nargs=-1)
@config_option
def folds(ref: str, settings: tuple[str, ...], config: Path | None) -> None:
    """Cross-validate by person: train a run for each fold of REF and write the out-of-fold predictions.

    Assign folds first: facecurate split REF --folds K. Existing runs are reused.
    """
    store = open_store()
    version = store.version(ref)
    chosen = _load_settings(settings, config, click.echo)
    if chosen.model.embedding:
        check_landmarks(store.read(ref))
    _announce(f"train folds: {version.ref}, {version.rows:,} rows; loading torch")
    from train.studies import cross_validate

    folder = cross_validate(store, ref, chosen, echo=click.echo)
    echo_next(f"facecurate audit run {version.ref} --predictions {quote(str(folder / 'out_of_fold.parquet'))}")


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
    echo, store = message_printer(as_json), open_store()
    found = [store.version(ref).ref for ref in refs]
    chosen = _load_settings(tuple(word for word in words if "=" in word), config, echo)
    for ref in found:
        check_manifest(store.read(ref), chosen)
    _announce(f"train compare: {', '.join(found)}, {seeds} runs each; loading torch")
    from train.studies import compare_manifests

    result = compare_manifests(store, refs, chosen, seeds, val_ref or refs[-1], leak_ref, echo=echo)
    print_result(as_json, result)
    if not as_json:
        best = max(result["compared"], key=lambda entry: entry["scores"][result["headline"]])
        echo_next(f"facecurate train refit {best['runs'][0]}")


@cli.command()
@click.argument("name", metavar="RUN")
def report(name: str) -> None:
    """Write the report of RUN again from the files in its folder."""
    from train.reports import write_report

    store = open_store()
    run = find_run(store, name)
    click.echo(f"report: {write_report(run, store)}")
    _next_after_run(store, run)


def _load_settings(pairs: tuple[str, ...], config: Path | None, echo: Echo) -> TrainSettings:
    """Load the settings and choose the start of the network, before torch is loaded, which takes seconds."""
    return choose_start(config, parse_settings(pairs), echo)


def _next_after_run(store: Store, run: Run, as_json: bool = False) -> None:
    """Print the next command after a run: a test if its manifest has test people, else its answers for the photos."""
    if as_json:
        return
    try:
        table = store.read(run.manifest, ["split", "status"]).table
    except ManifestError:  # the run of another workspace
        return echo_next("facecurate app")
    has_test = pc.any(pc.and_(pc.equal(table["split"], "test"), pc.is_in(table["status"], pa.array(USABLE)))).as_py()
    echo_next(f"facecurate train evaluate {run.name} --split test" if has_test else predict_command(run))


def _announce(text: str) -> None:
    """Write what begins now on standard error, in the first process only."""
    if is_first_rank():
        announce(text)


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
