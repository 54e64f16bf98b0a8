"""The command line `facecurate audit`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from audit.settings import AuditSettings
from data_manifests.command_line import echo_next, ledger_line, open_store, parse_settings
from pipeline.settings import load_settings


@click.group()
def cli() -> None:
    """Find wrong labels, duplicates, identity mismatches and bad photos."""


@cli.command()
@click.argument("ref")
@click.option("--config", type=click.Path(path_type=Path), help="Read the section `audit` of this YAML file.")
@click.option("--out", type=click.Path(path_type=Path), help="Write to this folder. Default: WORKSPACE/audit/NAME-N.")
@click.option(
    "--predictions",
    type=click.Path(path_type=Path),
    help="Add the out-of-fold predictions of `train folds` as evidence.",
)
@click.option("--tag", help="Tag the new version.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Set the number of worker processes, 0.8 GB each. Default: one per core, or per two cores if memory is short.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
@click.argument("settings", nargs=-1)
def run(
    ref: str,
    config: Path | None,
    out: Path | None,
    predictions: Path | None,
    tag: str | None,
    jobs: int | None,
    as_json: bool,
    settings: tuple[str, ...],
) -> None:
    """Score every photo of REF; write the next version, an HTML report and the queue as CSV.

    SETTINGS are key=value, such as values.quality=0.
    """
    from audit.run import run_audit

    overrides = parse_settings(settings) | ({"jobs": str(jobs)} if jobs else {})
    audit_settings = load_settings(AuditSettings, config, overrides, "audit")
    store = open_store()
    audit = run_audit(store.read(ref), store, audit_settings, out, predictions)
    if tag:
        store.tag(audit.version.ref, tag)
    if as_json:
        click.echo(json.dumps(audit.summary()))
        return
    for line in audit.lines():
        click.echo(line)
    click.echo(ledger_line(audit.version))
    echo_next("facecurate app")
