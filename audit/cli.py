"""`python -m audit …`: find what is wrong before anyone looks."""

from __future__ import annotations

from pathlib import Path

import click

from audit.settings import AuditSettings
from data_manifests.command_line import ledger_line, open_store, parse_settings
from pipeline.settings import load_settings


@click.group()
def cli() -> None:
    """Find wrong labels, duplicates, strangers and bad photos, the likeliest first."""


@cli.command()
@click.argument("ref")
@click.option("--config", type=click.Path(path_type=Path), help="YAML file; its section `audit` is read.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder; default: audit/NAME-N in the workspace.")
@click.option(
    "--predictions", type=click.Path(path_type=Path), help="Out-of-fold predictions of `train folds`, further evidence."
)
@click.option("--tag", help="Tag the new version.")
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Worker processes; default: one for every two cores; each holds 0.8 GB."
)
@click.argument("settings", nargs=-1)
def run(
    ref: str,
    config: Path | None,
    out: Path | None,
    predictions: Path | None,
    tag: str | None,
    jobs: int | None,
    settings: tuple[str, ...],
) -> None:
    """Score every photo of REF and write the next version, a report with pictures and the queue as CSV."""
    from audit.run import run_audit

    overrides = parse_settings(settings) | ({"jobs": str(jobs)} if jobs else {})
    read = load_settings(AuditSettings, config, overrides, "audit")
    store = open_store()
    done = run_audit(store.read(ref), store, read, out, predictions)
    for line in done.lines():
        click.echo(line)
    if tag:
        store.tag(done.version.ref, tag)
    click.echo(ledger_line(done.version))
