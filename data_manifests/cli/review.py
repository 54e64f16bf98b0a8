"""`python -m data_manifests agreement | consensus`: what reviewing needs beside the app."""

from __future__ import annotations

import math
from pathlib import Path

import click

from data_manifests.agreement import (
    RULES,
    SIGNATURE,
    Agreement,
    AnnotatedLabel,
    agreement,
    annotated_labels,
    conflicts,
    decide,
    read_sources,
    to_corrections,
    write_log,
)
from data_manifests.command_line import open_store
from data_manifests.corrections import FIELDS, read_corrections
from data_manifests.errors import ConfigError
from data_manifests.taxonomy import AgeCuts

_PATH = click.Path(path_type=Path)
_LIMIT = 20


@click.command("agreement")
@click.argument("csvs", nargs=-1, required=True, type=_PATH, metavar="CSV...")
@click.option("--limit", default=_LIMIT, show_default=True, help="List at most so many conflicts.")
def agreement_command(csvs: tuple[Path, ...], limit: int) -> None:
    """Tell how far annotators agree.

    Per field: how many labels were judged by two people or more, Cohen's kappa of every pair and Fleiss' kappa of all,
    then the labels on which they differ. A record that accepts a label (new is old) is a word too. Ages are compared by
    class.
    """
    labels, cuts = _read(csvs)
    for name in FIELDS:
        found = agreement(labels, name, cuts)
        if found.labels:
            click.echo("\n".join([*agreement_lines(found), ""]))
    open_ = conflicts(labels, cuts)
    for label in open_[:limit]:
        click.echo(f"{label.name}: {label.summary()}")
    if len(open_) > limit:
        click.echo(f"… and {len(open_) - limit} more; --limit shows them")
    settled = sum(bool(label.adjudications) for label in open_)
    click.echo(f"{len(labels)} labels judged, {len(open_)} conflicts, {settled} of them adjudicated")


@click.command("consensus")
@click.argument("csvs", nargs=-1, required=True, type=_PATH, metavar="CSV...")
@click.option("--rule", required=True, type=click.Choice(RULES))
@click.option("--adjudicator", default="", metavar="NAME", help="adjudicator: whose word settles a conflict.")
@click.option("--out", required=True, type=_PATH, metavar="FILE", help="The log to write.")
@click.option("--limit", default=_LIMIT, show_default=True, help="List at most so many labels that stay open.")
def consensus_command(csvs: tuple[Path, ...], rule: str, adjudicator: str, out: Path, limit: int) -> None:
    """Make one log out of several annotators' logs.

    \b
    unanimous    all words are alike
    majority     more than half of the words are alike
    adjudicator  NAME's word where there is one, else as unanimous
    cleanlab     CROWDLAB: words weighed by how each annotator does, with the scores of audit;
                 labels that audit has not scored: as unanimous

    What the rule does not decide is told and left out. Apply FILE alone, without the logs that it was made from.
    """
    if out in csvs:
        raise ConfigError(f"--out must be a new file, not one of the logs that are read. Got {str(out)!r} instead.")
    labels, cuts = _read(csvs)
    most_likely = None
    if rule == "cleanlab":
        from data_manifests.agreement import most_likely as weight

        most_likely = weight(open_store(), labels, cuts)
    decisions = decide(labels, rule, cuts, adjudicator=adjudicator, most_likely=most_likely)
    open_ = [one for one in decisions if not one.value]
    for one in open_[:limit]:
        click.echo(f"open: {one.label.name}: {one.label.summary()} ({one.reason})")
    if len(open_) > limit:
        click.echo(f"… and {len(open_) - limit} more; --limit shows them")
    unused = sum(bool(label.adjudications) for label in labels) if rule != "adjudicator" else 0
    if unused:
        click.echo(f"{unused} adjudicated labels: this rule counts words only; --rule adjudicator --adjudicator NAME")
    write_log(out, to_corrections(decisions, rule, adjudicator))
    click.echo(f"{out}: {len(decisions) - len(open_)} labels decided ({rule}), {len(open_)} open")


def _read(csvs: tuple[Path, ...]) -> tuple[list[AnnotatedLabel], AgeCuts]:
    """Units of the logs, and the age cuts of the versions that they name."""
    corrections = read_corrections(csvs)
    for row in corrections.to_pylist():
        if row["problem"]:
            click.echo(f"{row['file']} line {row['line']} is left out: {row['problem']}")
        elif row["annotator"].startswith(SIGNATURE):
            raise ConfigError(f"{row['file']} is a consensus, not an annotator's log: leave it out.")
    sources, cuts = read_sources(open_store(), corrections)
    if cuts is None:
        cuts = AgeCuts()
        click.echo(f"no version that the logs name is in this workspace: age cuts {cuts.middle},{cuts.old} are taken")
    return annotated_labels(corrections, sources), cuts


def agreement_lines(found: Agreement) -> list[str]:
    """One field as text."""
    same = f"{found.same} alike ({_share(found.same, found.shared)})" if found.shared else "nothing to compare"
    lines = [f"{found.field:10} {found.labels} labels judged, {found.shared} by two or more: {same}"]
    if found.shared:
        lines.append(f"{'':10} Fleiss' kappa {_kappa(found.fleiss)}")
    for pair in found.pairs:
        if pair.shared:
            told = f"{pair.same} of {pair.shared} alike ({_share(pair.same, pair.shared)})"
            lines.append(f"{'':10} {pair.a} and {pair.b}: {told}, Cohen's kappa {_kappa(pair.kappa)}")
    return lines


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def _kappa(value: float) -> str:
    return "not defined: one value only" if math.isnan(value) else f"{value:.3f}"
