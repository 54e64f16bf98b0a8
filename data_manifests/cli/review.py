"""The commands `agreement` and `consensus`, which compare and combine the logs of several annotators."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
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
    most_likely,
    read_sources,
    to_corrections,
    write_log,
)
from data_manifests.command_line import echo_next, open_store
from data_manifests.corrections import FIELDS, read_corrections
from data_manifests.errors import ConfigError
from data_manifests.inspect import APP
from data_manifests.taxonomy import AgeCuts

_PATH = click.Path(path_type=Path)
_LIMIT = 20


@click.command("agreement")
@click.argument("csvs", nargs=-1, required=True, type=_PATH, metavar="CSV...")
@click.option("--limit", default=_LIMIT, show_default=True, help="List at most this many conflicts.")
def agreement_command(csvs: tuple[Path, ...], limit: int) -> None:
    """Report inter-annotator agreement.

    Print for each field the number of labels annotated by two people or more, Cohen's kappa of every pair and Fleiss'
    kappa of all, then the labels in conflict. A record that confirms a label (new is old) counts as an annotation.
    Ages are compared by class.
    """
    labels, cuts = _read_logs(csvs)
    for name in FIELDS:
        found = agreement(labels, name, cuts)
        if found.labels:
            click.echo("\n".join([*_agreement_lines(found), ""]))
    in_conflict = conflicts(labels, cuts)
    for label in in_conflict[:limit]:
        click.echo(f"{label.name}: {label.summary()}")
    _echo_more(len(in_conflict), limit)
    adjudicated = sum(bool(label.adjudications) for label in in_conflict)
    click.echo(f"{len(labels)} labels annotated, {len(in_conflict)} conflicts, {adjudicated} of them adjudicated")
    paths = [str(path) for path in csvs]
    if in_conflict:
        out = str(csvs[0].with_name("consensus.csv"))
        echo_next(shlex.join(["facecurate", "consensus", *paths, "--rule", "majority", "--out", out]))
    else:
        echo_next(_apply_command(labels, paths))


@click.command("consensus")
@click.argument("csvs", nargs=-1, required=True, type=_PATH, metavar="CSV...")
@click.option("--rule", required=True, type=click.Choice(RULES), help="Choose the rule that decides a label.")
@click.option("--adjudicator", default="", metavar="NAME", help="adjudicator: Name the person who decides conflicts.")
@click.option("--out", required=True, type=_PATH, metavar="FILE", help="Write the consensus log to FILE.")
@click.option("--limit", default=_LIMIT, show_default=True, help="List at most this many open labels.")
def consensus_command(csvs: tuple[Path, ...], rule: str, adjudicator: str, out: Path, limit: int) -> None:
    """Combine the logs of several annotators into one.

    \b
    unanimous    all annotations agree
    majority     more than half of the annotations agree
    adjudicator  the value given by NAME if there is one, otherwise as unanimous
    cleanlab     CROWDLAB: annotations weighted by the reliability of each annotator, with the
                 scores of audit; labels without such scores as unanimous

    Labels that the rule does not decide are listed and left out. Apply FILE alone, without the logs it was made from.
    """
    if out in csvs:
        raise ConfigError(f"--out must be a new file, not one of the logs that are read. Got {str(out)!r} instead.")
    labels, cuts = _read_logs(csvs)
    likeliest = most_likely(open_store(), labels, cuts) if rule == "cleanlab" else None
    decisions = decide(labels, rule, cuts, adjudicator=adjudicator, most_likely=likeliest)
    undecided = [decision for decision in decisions if not decision.value]
    for decision in undecided[:limit]:
        click.echo(f"open: {decision.label.name}: {decision.label.summary()} ({decision.reason})")
    _echo_more(len(undecided), limit)
    unused = sum(bool(label.adjudications) for label in labels) if rule != "adjudicator" else 0
    if unused:
        click.echo(f"{unused} adjudications were not used; use --rule adjudicator --adjudicator NAME to apply them")
    write_log(out, to_corrections(decisions, rule, adjudicator))
    click.echo(f"{out}: {len(decisions) - len(undecided)} labels decided ({rule}), {len(undecided)} open")
    echo_next(_apply_command(labels, [str(out)]))


def _apply_command(labels: Sequence[AnnotatedLabel], paths: Sequence[str]) -> str:
    """Return the command that applies logs to the newest version of the data set that they are about."""
    if not labels:
        return APP
    name = labels[-1].records[-1].manifest.partition("@")[0]
    return shlex.join(["facecurate", "apply", name, *paths])


def _read_logs(csvs: tuple[Path, ...]) -> tuple[list[AnnotatedLabel], AgeCuts]:
    """Return the annotated labels of the logs, and the age cuts of the versions that they name."""
    corrections = read_corrections(csvs)
    for row in corrections.to_pylist():
        if row["problem"]:
            click.echo(f"{row['file']} line {row['line']} is left out: {row['problem']}")
        elif row["annotator"].startswith(SIGNATURE):
            raise ConfigError(f"a log must be an annotator's. {row['file']} is a consensus log; leave it out.")
    sources, cuts = read_sources(open_store(), corrections)
    if cuts is None:
        cuts = AgeCuts()
        click.echo(
            f"the workspace has no version that the logs name; using the default age cuts {cuts.middle},{cuts.old}"
        )
    return annotated_labels(corrections, sources), cuts


def _agreement_lines(found: Agreement) -> list[str]:
    """Return the figures of one field as text lines."""
    same = f"{found.same} agree ({_percent(found.same, found.shared)})" if found.shared else "nothing to compare"
    lines = [f"{found.field:10} {found.labels} labels annotated, {found.shared} by two or more: {same}"]
    if found.shared:
        lines.append(f"{'':10} Fleiss' kappa {_kappa(found.fleiss)}")
    for pair in found.pairs:
        if pair.shared:
            agreeing = f"{pair.same} of {pair.shared} agree ({_percent(pair.same, pair.shared)})"
            lines.append(f"{'':10} {pair.a} and {pair.b}: {agreeing}, Cohen's kappa {_kappa(pair.kappa)}")
    return lines


def _echo_more(count: int, limit: int) -> None:
    if count > limit:
        click.echo(f"… and {count - limit} more; use --limit to list them")


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def _kappa(value: float) -> str:
    return "not defined: one value only" if math.isnan(value) else f"{value:.3f}"
