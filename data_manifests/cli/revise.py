"""The commands `apply`, `split` and `tag`: they derive a version from another one, or name it."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from data_manifests.cli.ingest import echo_version, move_photos_tag
from data_manifests.command_line import echo_json, echo_next, ledger_line, open_store
from data_manifests.corrections import OPEN, apply_to_store
from data_manifests.errors import ConfigError
from data_manifests.inspect import APP, NEXT_COLUMNS, next_command, split_lines
from data_manifests.splits import (
    AUDIT_COLUMNS,
    assign_splits,
    count_people,
    group_people,
    keep_splits,
    lacks_validation,
    newest_audit,
    newest_with_splits,
    strata_lines,
    without_splits,
    without_training_split,
)
from data_manifests.versions import Manifest, table_sha256

_PATH = click.Path(path_type=Path)


@click.command("apply")
@click.argument("ref")
@click.argument("csvs", nargs=-1, required=True, type=_PATH, metavar="CSV...")
@click.option("--seed", default=0, show_default=True, help="Seed the ages drawn for corrections to an age class.")
@click.option("--report", type=_PATH, metavar="FILE", help="Write the outcome of each correction to a CSV.")
@click.option("--tag", help="Tag the resulting version.")
@click.option("--dry-run", is_flag=True, help="Report the outcome without writing a version.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.option("--limit", default=500, show_default=True, help="List at most this many open corrections (--json).")
def apply_command(
    ref: str,
    csvs: tuple[Path, ...],
    seed: int,
    report: Path | None,
    tag: str | None,
    dry_run: bool,
    as_json: bool,
    limit: int,
) -> None:
    """Apply correction CSVs to a version.

    Conflicts and corrections that match no row are reported and left open; applying a CSV twice changes nothing.
    """
    store = open_store()
    version, outcome = apply_to_store(store, ref, csvs, seed=seed, dry_run=dry_run)
    if report:
        outcome.write_csv(report)
    if tag and not dry_run:
        store.tag(version.ref, tag)
    if as_json:
        if not dry_run:
            move_photos_tag(store, version)
        result = {"ref": version.ref, "is_new": version.is_new, "dry_run": dry_run, "ledger": dict(version.ledger)}
        echo_json(result | outcome.as_json(limit) | {"report": str(report) if report else None})
        return
    click.echo("\n".join(outcome.lines()))
    if report:
        click.echo(f"report: {report}")
    if dry_run:
        click.echo("dry run: no version was written")
        echo_next(shlex.join(["facecurate", "apply", ref, *map(str, csvs)]))
        return
    echo_version(store, version)
    is_open = any(outcome.counts[name] for name in OPEN)
    echo_next(APP if is_open else next_command(store.read(version.ref, NEXT_COLUMNS)))


@click.command("split")
@click.argument("ref")
@click.option("--ratios", default="train=8,val=2", show_default=True, help="Set the shares of train, val and test.")
@click.option("--folds", type=click.IntRange(min=2), help="Assign K cross-validation folds as well.")
@click.option("--seed", default=0, show_default=True, help="Seed the order in which people are assigned.")
@click.option(
    "--reassign", "--anew", "reassign", is_flag=True, help="Assign everyone again, including people with a split."
)
def split_command(ref: str, ratios: str, folds: int | None, seed: int, reassign: bool) -> None:
    """Assign every person to a split.

    People who share a photo are in one split and one fold: the same file under two names, or, once an audit of these
    photos has found them, near-duplicates and portraits with several masks. There must be as many people as folds.

    Every split gets its share of each gender and age class, where they are known, and of each mask, where most people
    have one mask only. People who have a split, in this or an earlier version of the manifest, keep it: adding photos
    changes no assignment. If a data set came divided into train and test only, val takes its share of train.
    """
    store = open_store()
    manifest = store.read(ref)
    shares = _shares(ratios)
    parents = [manifest.version]
    earlier_splits = None
    table = without_splits(manifest.table) if reassign else manifest.table
    if not reassign and (earlier := newest_with_splits(store, manifest.version)):
        earlier_splits = store.read(earlier.ref, ["person_id", "split", "fold"]).table
        table = keep_splits(table, earlier_splits)
        parents.append(earlier)
    kept = count_people(table)
    if kept:
        click.echo(f"{kept:,} people keep their split; use --reassign to assign all again")
    audit = newest_audit(store, manifest)
    groups = group_people(table, store.read(audit.ref, AUDIT_COLUMNS).table if audit else None)
    table = assign_splits(table, ratios=shares, folds=folds, seed=seed, ref=ref, groups=groups)
    if shares.get("val") and lacks_validation(table):
        click.echo("no photo is in val: its share is taken from train")
        table = without_training_split(table, groups)
        if earlier_splits is not None and not lacks_validation(earlier_splits):  # it was divided before: as then
            table = keep_splits(table, earlier_splits)
        table = assign_splits(table, ratios=shares, folds=folds, seed=seed, ref=ref, groups=groups)
    wanted = [name for name, share in shares.items() if share]
    shared = groups.split_lines(table, manifest.version.ref)
    click.echo("\n".join([*strata_lines(table, manifest.cuts, wanted), "", *shared, *([""] if shared else [])]))
    click.echo("\n".join(split_lines(table)))
    if audit and (groups.near or groups.portraits) and audit not in parents:
        parents.append(audit)
    if table_sha256(table) == manifest.version.content_hash:
        echo_version(store, manifest.version)
        echo_next(next_command(manifest, ref))
        return
    # The key `anew` is from 0.1.0: with another name, a repeated split would not be recognised.
    parameters = {"ratios": shares, "folds": folds, "anew": reassign}
    name = manifest.version.name
    version = store.write(name, table, "split", parents=parents, parameters=parameters, seed=seed)
    echo_version(store, version)
    echo_next(next_command(Manifest(table, version)))


def _shares(text: str) -> dict[str, float]:
    """Return the shares in "train=8,val=2", scaled to a sum of 1. Raises ConfigError."""
    try:
        shares = {name.strip(): float(share) for name, share in (part.split("=") for part in text.split(","))}
        total = sum(shares.values())
        return {name: share / total for name, share in shares.items()}
    except (ValueError, ZeroDivisionError):
        raise ConfigError(f"--ratios must be shares such as train=8,val=2. Got {text!r} instead.") from None


@click.command("tag")
@click.argument("ref")
@click.argument("tag")
def tag_command(ref: str, tag: str) -> None:
    """Point TAG at a version. A tag may be moved; versions do not change."""
    store = open_store()
    version = store.tag(ref, tag)
    click.echo(f"tag {tag} → {version.ref}")
    click.echo(ledger_line(version))
    echo_next(next_command(store.read(version.ref, NEXT_COLUMNS)))
